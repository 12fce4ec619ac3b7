"""What the name of a column says it holds, in the languages that customer records come in.

Enters: a column's name as somebody wrote it: "First Name", "geb_datum", "Población", "電話番号".  Leaves: a kind, or None.  Names are cut into words, case and accents taken away; then whole phrases are looked up, the
first that fits wins.  A name is only a hint: kinds.py believes it if the values allow it.
"""

import re
import unicodedata
from functools import cache

_WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+|[^\W\d_a-zA-Z]+")
_WHOLE = str.maketrans({"ß": "ss", "ø": "o", "Ø": "O", "ł": "l", "Ł": "L", "æ": "ae", "đ": "d", "Đ": "D", "ı": "i"})

# Order matters: the first pattern that finds the column's words wins.
_HINTS: tuple[tuple[str, str], ...] = (
    (r"(last|first|letzter?|erster?|ultim[ao]|dernier|premier) .*(seen|date|login|order|visit|update|updated|modified|purchase|activity|contact|bestellung|besuch|compra|achat)", "time"),
    (r"birth.?(place|city|town|country)|place.?of.?birth|pob|geburtsort|lugar (de )?nacimiento|lieu (de )?naissance|luogo (di )?nascita|miejsce urodzenia|geboorteplaats", "place"),
    (r"(birth|dob).?(y|year)|by|yob|year.?of.?birth|byear|geb jahr|geburtsjahr|(ano|annee|anno|rok) .*(nac|nasc|naiss|urodz).*|geboortejaar", "birth_year"),
    (r"(birth|dob).?(m|month)|bm|mob|bmonth|geb monat|geburtsmonat|(mes|mois|mese|miesiac) .*(nac|nasc|naiss|urodz).*", "birth_month"),
    (r"(birth|dob).?(d|day)|bd|bday|geb tag|geburtstag|(dia|jour|giorno|dzien) .*(nac|nasc|naiss|urodz).*", "birth_day"),
    ((r"dob|d o b|.*birth.*|born|birthdate|bdate|birthday|geburtsdatum|geb.?dat(um)?|geb|.*(nacimiento|nascimento|naissance|nascita|urodzenia|geboorte|fodelse|fodsels|narozeni|szuletes|dogum|syntyma).*|f nac|fnac|data ur"
     r"|.*рожд.*|.*(ميلاد|لاد[هة]|γ[εέ]νν[ηή]|לידה).*|.*ngay sinh.*|.*(生年月日|誕生日|出生|生日|생년월일|생일).*"), "birth_date"),
    (r".*\be.?mails?\b.*|e?mail.*|correo.*|courriel|mel|e ?post.*|sahkoposti|poczta|.*почта.*|.*([اإ]لكتروني|يميل|ηλ\w*\.? ταχυδρομ|דוא|אימייל).*|.*(メール|邮箱|邮件|郵箱|電郵|이메일).*", "email"),
    ((r".*\b(phone|telephone|tel|tlf|mobile|cell|cellphone|msisdn|fax|handy|handynummer|mobilnummer|rufnummer|movil|celular|telemovel|cellulare|portable|komorka|mobil|mobiel|puhelin|gsm|ph)\b.*|.*phone.*|.*tele?fon.*"
     r"|.*телефон.*|.*(هاتف|جوال|موبايل|τηλ[εέ]φων|κινητ[οό]|טלפון|נייד|dien thoai).*|.*(電話|电话|手机|手機|携帯|전화|휴대).*"), "phone"),
    (r".*\b(zip|postal|postcode|post code|postalcode|plz|zipcode|cap|pcode|cep|cp|postleitzahl|pocztowy|postnummer|postnr|postinumero|psc|iranyitoszam|posta kodu)\b.*|c p|.*индекс.*|.*(بريدي|ταχυδρομικ|מיקוד|ma buu).*|.*(郵便番号|邮编|邮政编码|郵遞區號|우편번호).*", "postcode"),
    ((r".*\bfirst\b.*\b(last|surname|sur name)\b.*|full.?name|fullname|name|.*(person|contact|customer|display).?name|nombre (completo|y apellidos?)|nom complet|nom (et )?prenom|prenom (et )?nom|nome completo|nominativo|imie i nazwisko"
     r"|(vor und )?nachname und vorname|vor und nachname|naam|.*фио.*|.*(الاسم (ال)?كامل|الاسم بالكامل|اسم العميل|ονοματεπ[ωώ]νυμο|שם מלא).*|ho va ten|.*(姓名|氏名|お名前|성명|이름).*"), "full_name"),
    ((r".*\b(first|given|fore|christian|middle)\b.*|.*(forename|givenname|firstname|fname|vorname|prenom|nombre).*|fn|given|nome|imie|imiona|(drugie|pierwsze) imie|rufname|voornaam|voornamen|fornamn|fornavn|etunimi|jmeno|keresztnev|ad|adi"
     r"|mn|mname|imya|имя|(ال)?اسم( ال[اأ]ول| الشخصي)?|[οό]νομα|שם( פרטי)?|ten|отчество|名|名前|下の名前"), "first_name"),
    ((r".*\b(last|family|sur|maiden)\b.*|.*(surname|lastname|lname|sname|nachname|familienname|zuname|geburtsname|apellido|cognome|nazwisko|sobrenome|apelido|achternaam|familienaam|efternamn|etternavn|efternavn|sukunimi|prijmeni|vezeteknev|soyad).*"
     r"|ln|sn|nom|nom (de )?famille|фамилия|.*(عائلة|لقب|כינוי|משפחה).*|επ[ωώ]νυμο|ho|姓|苗字|名字|氏|성"), "last_name"),
    ((r".*\b(house|street)\b.*\b(no|nr|num|number)\b.*|.*\b(address|addr|street|str|strasse|rue|road|line ?\d|adresse|adress|adres|direccion|domicilio|calle|indirizzo|via|endereco|morada|rua|ulica|ulice|straat|gata|hausnr|hausnummer|huisnummer"
     r"|anschrift|voie|katuosoite|utca|ad ?1|adr)\b.*|.*(address|street|addr|strasse).*|.*(адрес|улица).*|.*(عنوان|شارع|διε[υύ]θυνση|οδ[οό]ς|כתובת|רחוב|dia chi).*|.*(住所|地址|番地|주소).*"), "street"),
    ((r".*\b(city|town|suburb|locality|ort|wohnort|stadt|gemeinde|ville|commune|municipality|ciudad|poblacion|localidad|municipio|comune|citta|cidade|miasto|miejscowosc|plaats|woonplaats|stad|mesto|varos|sehir|kaupunki|kommune|localite)\b.*"
     r"|.*city.*|.*suburb.*|.*город.*|.*(مدينة|π[οό]λη|thanh pho).*|עיר|.*(市区町村|城市|도시)|市"), "city"),
    (r".*\b(country|nation|nationality|land|pais|pays|paese|nazione|kraj|staatsangehorigkeit|nacionalidad)\b.*|.*(国籍|国家|국가).*|.*(جنسية|χ[ωώ]ρα|quoc gia).*|(ال)?(بلد|دولة)|מדינה", "country"),
    (r".*\b(state|province|region|county|bundesland|provincia|departement|wojewodztwo|estado)\b.*|.*(都道府県|省).*", "category"),
    (r".*\b(gender|sex|geschlecht|sexe|sexo|sesso|plec|geslacht|kon|kjonn|gndr)\b.*|пол|(ال)?جنس|φ[υύ]λο|מין|gioi tinh|.*(性別|性别|성별).*", "gender"),
    ((r".*\b(ssn|nino|nhs|passport|tax|national|social|soc|securite sociale|dni|nif|nie|curp|rfc|cedula|cpf|pesel|nip|bsn|nir|personnummer|fodselsnummer|cpr|hetu|steuer ?id|codice fiscale|cod fiscale|rodne cislo|tc kimlik|pasaporte|reisepass|ausweis)\b.*"
     r"|.*(social.?sec|soc.?sec|passport|tax.?id|national.?id|fiscal).*|.*(паспорт|снилс|инн).*|.*(هوية|ταυτ[οό]τητα|αφμ|αμκα|זהות|cccd|cmnd).*|.*(身份证|身分證|マイナンバー|주민등록).*"), "national_id"),
    (r".*\b(login|username|user.?id|userid|account|acct|user|benutzer(name)?|konto|usuario|utilisateur|utente)\b.*|.*login.*", "login_id"),
    (r".*\b(device|cookie|idfa|gaid|imei|anonymous|visitor|geraet|dispositivo|appareil)\b.*", "device_id"),
    (r".*\b(customer|client|cust|member|loyalty|patient|card|kunde|kunden ?(nr|nummer|id)|kundennr|kundennummer|cliente|klient|klantnummer|kundnummer)\b.*|.*(عميل|πελ[αά]τη|לקוח|khach hang).*|.*(顧客|客户|会員|会员|고객).*", "customer_id"),
    (r".*\b(ts|time|timestamp|created|updated|modified|date|datetime|seen|registered|erstellt|geandert|angelegt|fecha|datum|data|creado|alta|cree|aktualisiert)\b.*|.*(更新|作成|登録|创建|时间).*", "time"),
    (r"source|origin|system|row|rownum|row.?(no|nr|num|number)|index|idx|unnamed.*|record|rec.?(no|nr|num)|seq|lp|lfd ?nr|zeile", "ignore"),
    (r".*\b(occupation|job|profession|title|salutation|prefix|suffix|segment|status|type|race|ethnicity|language|company|anrede|titel|beruf|civilite|profesion|ocupacion|tratamiento|zawod|firma)\b.*", "category"),
    (r".*\b(note|notes|comment|comments|remark|description|text|bemerkung|observaciones)\b.*", "text"),
    (r".*\b(place|location)\b.*", "place"),
)  # fmt: skip
_COMPILED = tuple((re.compile(pattern), kind) for pattern, kind in _HINTS)


@cache
def said(name: str) -> str | None:
    """The kind that a column's name says."""
    spoken = spell(name)
    squeezed = spoken.replace(" ", "")
    written = plain(name).lower()
    for pattern, kind in _COMPILED:
        if pattern.fullmatch(spoken) or pattern.fullmatch(written) or pattern.fullmatch(squeezed):
            return kind
    return None


def spell(name: str) -> str:
    """The words of a name, lower case, without accents, one blank between."""
    return " ".join(w.lower() for w in _WORDS.findall(plain(name)))


def plain(name: str) -> str:
    """Accents removed where a letter remains; other scripts as they are."""
    kept = []
    for letter in name.translate(_WHOLE):
        base = "".join(c for c in unicodedata.normalize("NFKD", letter) if not unicodedata.combining(c))
        kept.append(base if base.isascii() else letter)
    return "".join(kept)
