"""Small worlds of person records as other countries keep them: their column names, scripts, dates and habits, with errors and truth."""

import random

import pyarrow as pa

from tests.identity.linkage_world import typo

GIVEN = {
    "es": [
        "Lucía",
        "María",
        "José",
        "Antonio",
        "Íñigo",
        "Carmen",
        "Begoña",
        "Javier",
        "Andrés",
        "Sofía",
        "Martín",
        "Pablo",
        "Elena",
        "Álvaro",
        "Rocío",
        "Iñaki",
        "Teresa",
        "Hugo",
    ],
    "de": [
        "Jürgen",
        "Käthe",
        "Günther",
        "Anneliese",
        "Björn",
        "Sabine",
        "Heinz",
        "Ursula",
        "Dörte",
        "Wolfgang",
        "Anja",
        "Götz",
        "Ilse",
        "Matthias",
        "Renate",
        "Uwe",
        "Silke",
        "Jörg",
    ],
    "pl": [
        "Łukasz",
        "Małgorzata",
        "Paweł",
        "Agnieszka",
        "Michał",
        "Zofia",
        "Grzegorz",
        "Żaneta",
        "Stanisław",
        "Elżbieta",
        "Kamil",
        "Świętosława",
        "Piotr",
        "Halina",
        "Bożena",
    ],
    "ja": [
        "淳",
        "陽子",
        "直樹",
        "美加子",
        "太郎",
        "さゆり",
        "健一",
        "花子",
        "翔太",
        "結衣",
        "大輔",
        "真由美",
        "拓真",
        "明美",
        "裕樹",
        "久美子",
    ],
}
FAMILY = {
    "es": [
        "García",
        "Núñez",
        "Peña",
        "López",
        "Ibáñez",
        "Ruiz",
        "Gómez",
        "Cañas",
        "Sáez",
        "Ortiz",
        "Vázquez",
        "Muñoz",
        "Castaño",
        "Prieto",
        "Ureña",
        "Bravo",
        "Heredia",
        "Zamora",
    ],
    "de": [
        "Müller",
        "Groß",
        "Schröder",
        "Weiß",
        "Köhler",
        "Bäcker",
        "Jäger",
        "Lübke",
        "Voß",
        "Schmitt",
        "Kühn",
        "Franke",
        "Löwe",
        "Brandt",
        "Straub",
        "Pfeiffer",
        "Zöllner",
        "Ebert",
    ],
    "pl": [
        "Kowalski",
        "Wiśniewska",
        "Zięcik",
        "Dąbrowski",
        "Łuczak",
        "Wójcik",
        "Żak",
        "Nowak",
        "Mazur",
        "Krawczyk",
        "Śliwa",
        "Pająk",
        "Gołąb",
        "Sikora",
        "Jabłoński",
        "Wróbel",
    ],
    "ja": [
        "木村",
        "佐藤",
        "鈴木",
        "高橋",
        "田中",
        "渡辺",
        "伊藤",
        "山本",
        "中村",
        "小林",
        "加藤",
        "吉田",
        "山田",
        "佐々木",
        "松本",
        "井上",
    ],
}
STREETS = [
    "Alameda",
    "Brunnen",
    "Castro",
    "Dorf",
    "Eiche",
    "Ferme",
    "Garten",
    "Hafen",
    "Iglesia",
    "Jardin",
    "Kirche",
    "Lago",
    "Mayor",
    "Norte",
    "Olmo",
    "Prado",
]
TOWNS = {"es": ["Sevilla", "Cádiz", "Ávila", "León", "Vigo"], "de": ["Köln", "Ulm", "Gießen", "Bad", "Homburg", "Fürth"], "pl": ["Łódź", "Kraków", "Gdynia", "Opole"], "ja": ["横浜市", "京都市", "札幌市", "福岡市"]}  # fmt: skip


def spanish(p: dict[str, object], rng: random.Random) -> dict[str, object]:
    d, m, y = p["born"]
    return {
        "Nombre": p["first"], "Primer Apellido": p["last"], "Segundo Apellido": p["second"], "Fecha de nacimiento": f"{d:02d}/{m:02d}/{y}",
        "Domicilio": p["street"], "Población": p["town"], "C.P.": p["code"], "Móvil": p["phone"], "Correo electrónico": p["mail"],
        "Fecha de alta": f"0{rng.randint(1, 9)}/03/202{rng.randint(0, 5)}",
    }  # fmt: skip


def german(p: dict[str, object], rng: random.Random) -> dict[str, object]:
    d, m, y = p["born"]
    street, number = str(p["street"]).rsplit(" ", 1)
    return {
        "lfd Nr": rng.randint(1, 10**6), "Anrede": rng.choice(["Herr", "Frau"]), "Vorname": p["first"], "Nachname": p["last"], "geb_Tag": d, "geb_Monat": m, "geb_Jahr": y,
        "Straße": street, "Hausnr": number, "PLZ": p["code"], "Wohnort": p["town"], "Tel.": p["phone"], "erstellt_am": f"2024-0{rng.randint(1, 9)}-11 10:15:00",
    }  # fmt: skip


def polish(p: dict[str, object], _: random.Random) -> dict[str, object]:
    d, m, y = p["born"]
    return {"imię": p["first"], "nazwisko": p["last"], "data_urodzenia": f"{y}-{m:02d}-{d:02d}", "miasto": p["town"], "kod_pocztowy": p["code"], "telefon": p["phone"]}  # fmt: skip


def japanese(p: dict[str, object], _: random.Random) -> dict[str, object]:
    d, m, y = p["born"]
    return {"姓": p["last"], "名": p["first"], "生年月日": f"{y}年{m}月{d}日", "住所": f"{p['town']}{p['street']}", "電話番号": p["phone"], "メール": p["mail"]}  # fmt: skip


COUNTRIES = {"es": spanish, "de": german, "pl": polish, "ja": japanese}


def country(code: str, people: int = 200, seed: int = 5) -> pa.Table:
    """Two to four records a person; a tenth of the names mistyped, a fifth of everything else missing."""
    rng = random.Random(seed)
    rows = []
    for who in range(people):
        person: dict[str, object] = {
            "first": rng.choice(GIVEN[code]), "last": rng.choice(FAMILY[code]), "second": rng.choice(FAMILY[code]),
            "born": (rng.randint(1, 28), rng.randint(1, 12), rng.randint(1935, 2005)),
            "street": f"{rng.choice(STREETS)} {rng.randint(1, 90)}", "town": rng.choice(TOWNS[code]), "code": f"{rng.randint(10000, 10080)}",
            "phone": f"06{rng.randint(10**7, 10**8 - 1)}", "mail": f"p{rng.randint(1, 10**6)}@example.org",
        }  # fmt: skip
        for _ in range(rng.randint(2, 4)):
            row = COUNTRIES[code](person, rng)
            first = next(n for n in row if row[n] == person["first"])
            kept = {n: v for n, v in row.items() if n == first or v == person["last"] or rng.random() < 0.8}
            if rng.random() < 0.1 and code != "ja":
                kept[first] = typo(str(kept[first]), rng)
            rows.append({n: kept.get(n) for n in row} | {"truth": who})
    rng.shuffle(rows)
    return pa.Table.from_pylist([{"id": i, **row} for i, row in enumerate(rows)])
