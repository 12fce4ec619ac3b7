"""Records as other countries keep them: what a column's name says, and linking without a word of configuration."""

import pyarrow as pa
import pytest

from identity.cleaning import clean
from identity.column_names import said
from identity.column_values import read_date
from identity.kinds import Overrides, infer
from identity.lexicon import words
from identity.link import run
from identity.score import score
from tests.identity.linkage_countries import country

NAMES = {
    "first_name": ["Vorname", "prénom", "imię", "drugie_imię", "Förnamn", "voornaam", "名", "имя", "الاسم", "Όνομα", "שם פרטי", "Tên", "middleName", "mn"],
    "last_name": ["Segundo Apellido", "Nazwisko", "cognome", "Nom de famille", "achternaam", "姓", "Фамилия", "اسم العائلة", "Επώνυμο", "שם משפחה", "Họ", "sn"],
    "full_name": ["Nombre y apellidos", "imię i nazwisko", "氏名", "姓名", "ФИО", "الاسم الكامل", "Ονοματεπώνυμο", "Họ và tên", "Full Name"],
    "birth_date": ["Geburtsdatum", "data urodzenia", "f_nac", "Date de naissance", "født_fødselsdato", "生年月日", "Дата рождения", "تاريخ الميلاد", "Ημερομηνία γέννησης", "תאריך לידה", "Ngày sinh"],
    "birth_year": ["geb_Jahr", "Geburtsjahr", "by", "año de nacimiento", "birthYear"],
    "phone": ["Móvil", "Tél.", "Handynummer", "komórka", "手机号", "電話番号", "puhelin", "الهاتف", "Τηλέφωνο", "טלפון", "Điện thoại", "ph"],
    "email": ["Correo electrónico", "courriel", "E-Mail-Adresse", "メール", "البريد الإلكتروني", "Ηλ. ταχυδρομείο", "דוא״ל", "e_post"],
    "postcode": ["C.P.", "Code postal", "kod_pocztowy", "PLZ", "CEP", "郵便番号", "الرمز البريدي", "Ταχυδρομικός κώδικας", "מיקוד"],
    "street": ["Dirección", "Straße", "Hausnr", "ulica", "indirizzo", "住所", "Адрес", "العنوان", "Διεύθυνση", "כתובת", "Địa chỉ"],
    "city": ["Población", "Wohnort", "miasto", "Ville", "woonplaats", "市区町村", "المدينة", "Πόλη", "עיר", "Thành phố"],
    "national_id": ["DNI", "PESEL", "codice_fiscale", "BSN", "身份证号", "n° de sécurité sociale"],
    "gender": ["płeć", "Geschlecht", "sexo", "性別", "الجنس", "Φύλο", "מין"],
    "time": ["Fecha alta", "erstellt_am", "updated_at", "last_seen_date"],
    "customer_id": ["Kundennr", "顧客ID", "client_no"],
}  # fmt: skip


@pytest.mark.parametrize("kind", NAMES)
def test_a_name_says_its_kind_in_many_languages(kind):
    assert {name: said(name) for name in NAMES[kind]} == dict.fromkeys(NAMES[kind], kind)


def test_a_name_that_says_nothing_says_nothing():
    assert [said(name) for name in ("c1", "x", "value", "foo_bar")] == [None] * 4


def test_words_and_dates_of_other_scripts_are_kept():
    assert words("Łukasz O'Brien-Groß, 木村") == ["lukasz", "obrien", "gross", "木村"]
    assert read_date("1940年6月29日", day_first=False) == "19400629"
    assert read_date("29 Dez 1940", day_first=True) == "19401229"


def test_names_without_a_blank_have_a_family_name_first():
    full = pa.table({"氏名": ["田中太郎", "王小明", "김 철수", "김철수", "Ada Lovelace"], "id": list("abcde")})
    fields = clean(full, infer(full, Overrides(kinds={"氏名": "full_name"}))).fields
    said_ = [[f.coded.texts()[n].as_py() for f in (fields["first"], fields["last"])] for n in range(5)]
    assert said_ == [["太郎", "田中"], ["小明", "王"], ["철수", "김"], ["철수", "김"], ["ada", "lovelace"]]


@pytest.mark.parametrize("code", ["es", "pl"])
def test_the_kinds_of_other_countries_are_found(code):
    kinds = {c.name: c.kind for c in infer(country(code, 60), Overrides(ignore=["truth"])).columns}
    wanted = {
        "es": {"Nombre": "first_name", "Segundo Apellido": "last_name", "Fecha de nacimiento": "birth_date", "Fecha de alta": "time"},
        "pl": {"imię": "first_name", "data_urodzenia": "birth_date", "kod_pocztowy": "postcode"},
    }[code]  # fmt: skip
    assert wanted.items() <= kinds.items()


@pytest.mark.parametrize("code", ["de", "ja"])
def test_people_of_other_countries_are_found(code):
    table = country(code, 90)
    found, _, _ = run(table, infer(table, Overrides(ignore=["truth"])))
    figures = score(found.person, table.column("truth").to_numpy())
    assert figures["pairwise"]["f1"] > 0.95
    assert figures["max_cluster"] <= 4
