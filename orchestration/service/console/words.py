"""What codes of the house mean, in words for staff. Enters: a code. Leaves: a sentence; an unknown code is shown as it is.

The order of `GATES` is the order in which a decision asks; quiet hours and budget stand in it because people look for them there.
"""

from typing import Final

from audit.access.principal import Scope
from audit.tags import Tag

STAFF: Final = (Scope.OFFICER, Scope.AUDITOR, Scope.OPERATE, Scope.DECIDE, Scope.SEND)
READERS: Final = {
    "people": (Scope.OFFICER,),
    "requests": (Scope.OFFICER,),
    "decisions": (Scope.OFFICER, Scope.AUDITOR, Scope.DECIDE),
    "deliveries": (Scope.OFFICER, Scope.AUDITOR, Scope.OPERATE, Scope.SEND),
    "log": (Scope.AUDITOR, Scope.OFFICER),
    "rules": (Scope.OFFICER, Scope.AUDITOR),
    "runs": (Scope.OFFICER, Scope.AUDITOR, Scope.OPERATE),
    "models": (Scope.OFFICER, Scope.AUDITOR, Scope.OPERATE, Scope.DECIDE),
    "reasons": (Scope.OFFICER, Scope.AUDITOR, Scope.OPERATE, Scope.DECIDE),
    "experiments": (Scope.AUDITOR, Scope.OPERATE),
    "learners": (Scope.AUDITOR, Scope.OPERATE),
}
"""Who may see which pages: the doors themselves and the links to them read it here."""

GATES: Final[tuple[tuple[str, str, str], ...]] = (
    ("blocked", "Erasure and restriction", "Is the person erased, or the use of the data restricted?"),
    ("consent", "Consent", "Does the gate permit this purpose on this channel?"),
    ("reach", "Reach", "Is there a contact point, and a connector for it?"),
    ("suppression", "Suppression", "Is the contact on a do-not-send list?"),
    ("segment", "Segment", "Is the placement meant for this person?"),
    ("publication", "Publication", "Is the content published, in stock and not declined?"),
    ("cap", "Cap", "Is there room under every frequency cap?"),
    ("quiet", "Quiet hours", "May it be sent at this hour?"),
    ("budget", "Budget", "Is there money left for it?"),
    ("holdout", "Holdout", "Is the person in the comparison group?"),
    ("sure", "Sureness", "Do we know well enough who it is?"),
    ("diversity", "Diversity", "Does another place of the page show it already?"),
    ("score", "Rank", "Was it the one that was drawn?"),
)
UNRULED: Final = {
    "quiet": "No rule here: a message that must wait is queued for later, not dropped.",
    "budget": "No rule here: no budget is declared.",
}
STATES: Final = {
    "reserved": ("Waiting", "queued, its cap taken", "wait"),
    "intent": ("Being sent", "claimed by a worker", "wait"),
    "accepted": ("Accepted", "the provider took it; not yet known to have arrived", "good"),
    "delivered": ("Delivered", "the provider says that it arrived", "good"),
    "deferred": ("Deferred", "the provider tries again", "wait"),
    "blocked": ("Blocked", "turned away for now", "bad"),
    "dropped": ("Dropped", "on a list of the provider's own", "bad"),
    "bounced": ("Bounced", "the address does not take mail", "bad"),
    "complained": ("Complaint", "marked as spam", "bad"),
    "rejected": ("Rejected", "the provider refused it", "bad"),
    "uncertain": ("Uncertain", "nobody knows whether it left; never sent again", "bad"),
    "cancelled": ("Called off", "before anything left", "off"),
    "withheld": ("Withheld", "the last gate said no", "off"),
}
ANSWERS: Final = {"granted": ("Yes", "good"), "denied": ("No", "bad"), "undetermined": ("Not said: no", "off")}
REQUESTS: Final = {
    "open": ("Open", "wait"), "in_progress": ("Approved", "wait"), "fulfilled": ("Done", "good"), "denied": ("Refused", "bad"),
    "revoked": ("Taken back", "off"), "expired": ("Expired", "bad"),
}  # fmt: skip
REASONS: Final = {
    "lower_utility": "another one was expected to do better, or as well",
    "not_drawn": "chance drew another",
    "no_contact_point": "no contact point for this channel",
    "no_connector": "no connector for this channel",
    "contact_gone": "the contact has ended",
    "suppressed": "the contact is on a do-not-send list",
    "not_in_segment": "the placement is for others",
    "in_no_segment_of": "in none of the segments it is for",
    "in_excluded_segment": "in a segment it is not for",
    "not_published": "not published",
    "out_of_stock": "out of stock",
    "not_interested": "the person said that it is of no interest",
    "person_unsure": "not sure enough who it is",
    "shown_on_page": "stands elsewhere on the page",
    "category_full_on_page": "its category has its share of the page",
    "brand_full_on_page": "its brand has its share of the page",
    "another_choice_holds": "another choice was made for the person here, and holds",
    "too_few_signals": "too little is known of the person to personalise",
    "no_candidate": "there was nothing to choose from",
    "contention": "what it rested on kept changing",
    "called_off": "called off",
    "corrected": "the words that it rested on were corrected",
    "expired": "too late",
    "erased": "the person was erased",
    "too_many_attempts": "tried too often",
    "cap": "a frequency cap is full",
    "consent.granted": "the person agreed",
    "consent.granted_by_parent": "the person agreed to a wider choice whose notice named it",
    "basis.contract": "needed for what the person asked for",
    "basis.legal_obligation": "the law asks for it",
    "basis.vital_interests": "it protects a life",
    "basis.public_task": "a task in the public interest",
    "basis.legitimate_interests": "a weighed interest, and no objection",
    "basis.objection": "the person objected",
    "person.erased": "the person was erased",
    "person.restricted": "the use of the data is restricted",
    "person.unknown": "nothing is held about the person",
    "directive.gpc": "the browser's privacy signal (Global Privacy Control)",
    "withdrawn.channel": "unsubscribed from this channel",
    "consent.withdrawn": "the person agreed once and took it back",
    "consent.denied": "the person said no",
    "consent.missing": "the person never agreed",
    "consent.expired": "the agreement ran out",
    "consent.unconfirmed": "she agreed, and has not confirmed it by the link that was mailed",
    "consent.unverified": "an agreement came in without notice, time or way: not relied on",
    "consent.parent_only": "agreed to something wider whose notice did not name this",
    "signal.denied": "a consent window's choices leave it out",
    "pause.channel": "asked for a break on this channel, which is not over",
    "signal.undecodable": "a signal that cannot be read counts as a no",
    "channel.not_governed": "the purpose does not cover this channel",
    "significant.opted_out": "no machine may decide this about the person",
    "purpose.unknown": "nobody declared this purpose",
}
TAGS: Final = {one.value: one for one in Tag}
SCOPES: Final = {
    "officer": "people, consents, subject requests",
    "auditor": "the log, proofs, lineage; never personal words",
    "operate": "running, keys and staff",
    "decide": "decisions, content and experiments",
    "send": "sends and deliveries",
}


NAV: Final = (
    ("/console", "Overview", STAFF),
    ("/console/find", "Find", STAFF),
    ("/console/decisions", "Decisions", READERS["decisions"]),
    ("/console/deliveries", "Deliveries", READERS["deliveries"]),
    ("/console/requests", "Requests", READERS["requests"]),
    ("/console/review", "Review", READERS["people"]),
    ("/console/looks", "Human looks", READERS["people"]),
    ("/console/runs", "Runs", READERS["runs"]),
    ("/console/models", "Models", READERS["models"]),
    ("/console/reasons", "Reasons", READERS["reasons"]),
    ("/console/experiments", "Experiments", READERS["experiments"]),
    ("/console/learners", "Learners", READERS["learners"]),
    ("/console/rules", "Rules", READERS["rules"]),
    ("/console/log", "Log", READERS["log"]),
    ("/console/staff", "Staff", (Scope.OPERATE,)),
)
TABS: Final = (
    ("records", "", "Records"),
    ("consents", "/consents", "Consents"),
    ("profile", "/profile", "Profile"),
    ("timeline", "/timeline", "Timeline"),
    ("how", "/how", "How she came together"),
    ("looks", "/looks", "Who looked"),
)
RIGHTS: Final = {
    "access": ("Access: a copy of everything", "Make the file"),
    "access_categories": ("Access: kinds of data only", "Make the file"),
    "portability": ("Portability: a copy to take along", "Make the file"),
    "admt_access": ("Access to automated decisions", "Make the file"),
    "rectification": ("Rectification: wrong details", "Correct"),
    "erasure": ("Erasure", "Erase for good"),
    "restriction": ("Restriction: keep, but do not use", "Restrict"),
    "objection": ("Objection to direct marketing", "Stop all marketing"),
    "withdrawal": ("Withdrawal of consent", "Withdraw"),
    "opt_out": ("Opt-out of sale and sharing", "Opt out"),
    "opt_in": ("Opting in to sale and sharing again", "Opt in"),
    "limit_sensitive": ("Limit of the use of sensitive data", "Limit"),
    "admt_opt_out": ("Opt-out of automated decisions", "Stop deciding by machine"),
}
DENIALS: Final = {
    "suspected_fraud": "It seems to be fraud",
    "insuf_verification": "The person could not be verified",
    "no_match": "We hold nothing of this person",
    "claim_not_covered": "The law does not cover it",
    "outside_jurisdiction": "The law does not apply to this person",
    "too_many_requests": "Too many requests",
    "other": "Another reason",
}
MANNERS: Final = {
    "preference_page": "on the preference page", "web_form": "in a web form", "email": "by e-mail", "phone": "by phone", "post": "by post",
    "in_person": "in person", "agent": "through an agent", "api": "through the API", "staff": "by our staff", "system": "by the system",
}  # fmt: skip
METHODS: Final = {
    "contact_link": "a link sent to a contact", "points": "points that match", "login": "a login with password", "document": "a document",
    "declaration": "a signed declaration", "agent": "a registered agent", "second_officer": "the officer who approved",
}  # fmt: skip
LETTERS: Final = {
    "waiting": "On its way", "acknowledged": "Acknowledged", "proven": "Proven", "kept": "Acknowledged, but the data is held still",
    "taken": "The job was taken; nothing proves it",
}  # fmt: skip
CHECKS: Final = {"none": "None is asked", "two_point": "Two points must match", "strong": "A strong one is needed"}
KINDS: Final = {
    "email": "E-mail address", "phone": "Phone number", "login_id": "Login", "customer_id": "Customer number",
    "device_id": "Device", "anonymous_id": "Visitor of a site", "national_id": "National id", "group_id": "Group",
    "push": "Push subscription",
}  # fmt: skip


CAUSES: Final = {
    "unique_identifier": "both hold a number of their own that only one person can have",
    "limit": "together they would have more addresses, numbers or devices than one person has",
    "first_name": "the first names clearly differ",
    "birth_date": "the birth dates clearly differ",
    "contact": "same name, but everything they are reached by differs: perhaps a namesake of one household",
    "ambiguous": "it could as well belong to somebody else, who is clearly not the same person",
    "cohesion": "too few links between the two groups",
    "size": "the group would be larger than any household",
    "judgement": "staff found them to be different people",
}
FALLS: Final = {
    "start": "Before anything is compared",
    "relatives": "Relatives would explain it too",
    "owned": "Both carry an id that one person owns alone",
    "rounding": "Rounded to a millionth",
    "unexplained": "Rests on what is gone",
}
GATED: Final = {"published": ("Live", "good"), "held": ("Held back", "bad"), "allowed": ("Let through", "wait")}
OBJECTIONS: Final = {
    "two_unique": "somebody would hold two numbers of which nobody has two",
    "giant_person": "one person would have more records than policy allows",
    "drift": "weights or sizes moved more than policy allows",
    "changed_hands": "the ids of too many records would lead to somebody else",
}
OVERRULED: Final = {
    "looked": "figures and people were looked at", "new_source": "a source came or went",
    "rules_changed": "rules were changed on purpose", "urgent": "the older graph is worse",
}  # fmt: skip


VERDICTS: Final = {"positive": "One person", "negative": "Two people", "unsure": "Nobody can tell"}
ACTS: Final = {
    "merge": "Merge", "unmerge": "Take the merge back", "split": "Split", "pin": "Pin", "answer": "Answer", "revoke": "Take back",
}  # fmt: skip
BECAUSE: Final = {
    "asked": "the person said so", "document": "a document was seen", "duplicate": "one person, entered twice",
    "shared_contact": "several people use the contact", "shared_device": "several people use the device", "household": "people of one household",
    "namesake": "people of one name", "mistake": "an earlier act was wrong", "looked": "the records were compared",
}  # fmt: skip
REFUSED: Final = {
    "same_person": "these are one person already",
    "unique_identifier": "they hold two values of an identifier of which nobody has two",
    "whole_person": "nothing would be left of the person",
    "nothing_to_unmerge": "no merge of this person can be taken back",
    "kept_apart": "an earlier act keeps them apart; take that back, or merge them",
}
DOUBTS: Final = {"not_me": "says that a decision is not about her"}


def verdict(code: str) -> str:
    """What a reviewer said."""
    return VERDICTS.get(code, code)


def act(code: str) -> str:
    """What staff do to people, as a button says it."""
    return ACTS.get(code, code)


def because(code: str) -> str:
    """What an act rests on."""
    return BECAUSE.get(code, code.replace("_", " "))


def refused(code: str) -> str:
    """Why an act cannot be done."""
    return REFUSED.get(code, code.replace("_", " "))


def doubt(code: str) -> str:
    """Why somebody raised a doubt about a person."""
    return DOUBTS.get(code, code.replace("_", " "))


def cause(code: str) -> str:
    """Why a link between records was refused."""
    return CAUSES.get(code, code.replace("_", " "))


def falls(code: str) -> str:
    """A height of a waterfall that is no field's."""
    return FALLS.get(code, code.replace("_", " "))


def gated(code: str) -> tuple[str, str]:
    """What the gate said of a run, and the tone."""
    return GATED.get(code, (code, "off"))


def objection(code: str) -> str:
    """What speaks against a run's graph."""
    return OBJECTIONS.get(code, code.replace("_", " "))


def overruled(code: str) -> str:
    """Why staff let a held run through."""
    return OVERRULED.get(code, code.replace("_", " "))


def kind(code: str) -> str:
    """A kind of identifier."""
    return KINDS.get(code, code.replace("_", " "))


def right(code: str) -> str:
    """What a request asks for."""
    return RIGHTS.get(code, (code, ""))[0]


def letter(code: str) -> str:
    """Where a letter to a processor stands."""
    return LETTERS.get(code, code.replace("_", " "))


def manner(code: str) -> str:
    """How a request was made."""
    return MANNERS.get(code, code.replace("_", " "))


def method(code: str) -> str:
    """How somebody showed who they are."""
    return METHODS.get(code, code.replace("_", " "))


def check(code: str) -> str:
    """How sure one must be before a request is answered."""
    return CHECKS.get(code, code.replace("_", " "))


def doing(code: str) -> str:
    """What the button says that does it."""
    return RIGHTS.get(code, ("", "Run it"))[1]


def denial(code: str) -> str:
    """Why a request was refused."""
    return DENIALS.get(code, code.replace("_", " "))


def left(days: int) -> str:
    """How long until a request is due."""
    if days < 0:
        return f"{-days} day{'' if days == -1 else 's'} late"
    return "today" if days == 0 else f"{days} day{'' if days == 1 else 's'} left"


def state_name(value: str) -> str:
    """A delivery's state, its name only."""
    return state(value)[0]


def requested_name(value: str) -> str:
    """A request's state, its name only."""
    return requested(value)[0]


def reason(code: str | None) -> str:
    """A reason of a gate, a decision or a delivery, in words."""
    if not code:
        return ""
    stage, _, rest = code.partition(":")
    if stage == "cap" and rest:
        return f"the cap {rest} is full"
    if stage == "holdout" and rest:
        return f"in the comparison group {rest}"
    if stage == "experiment" and rest:
        return f"in an arm of the experiment {rest} that shows others"
    bare = rest if rest and stage in {gate for gate, _, _ in GATES} else code
    return REASONS.get(bare, bare.replace("_", " "))


def gate(stage: str) -> str:
    """A stage's short name."""
    return next((name for key, name, _ in GATES if key == stage), stage)


def tag(value: str) -> str:
    """What an entry of this tag says."""
    return TAGS[value].description if value in TAGS else "An act of a version that this one does not know."


def state(value: str) -> tuple[str, str, str]:
    """A delivery's state: its name, what it means, and its tone (good, bad, wait, off)."""
    return STATES.get(value, (value, "", "off"))


def answered(value: str) -> tuple[str, str]:
    """A permission's answer, and its tone."""
    return ANSWERS.get(value, (value, "off"))


def requested(value: str) -> tuple[str, str]:
    """A request's state, and its tone."""
    return REQUESTS.get(value, (value, "off"))


def link(name: str) -> str:
    """The console's page of a thing, by its id; empty when it has none."""
    folder = {"per": "people", "dec": "decisions", "dlv": "deliveries", "ent": "log", "req": "requests"}
    prefix, _, rest = name.partition("_")
    return f"/console/{folder[prefix]}/{name}" if prefix in folder and len(rest) == 26 else ""
