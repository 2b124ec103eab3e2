"""Words by which columns and properties are named that hold what identifies a person, in usual languages.

A name is cut into words (at blanks, signs and changes of case), compared without case and accents.
"""

import re
import unicodedata
from functools import lru_cache
from itertools import pairwise

EMAIL_ADDRESS, PHONE, NAME, ADDRESS, BIRTHDAY, NUMBER = (
    "e-mail addresses",
    "phone numbers",
    "names",
    "addresses",
    "birthdays",
    "numbers that name a person",
)
# Wherever one of these words comes, or a name ends in it as languages that join words do.
EMAILS = """
    email emails emailaddress emailaddr mail mailaddress mailadresse emailadresse correo courriel epost epostadress
    epostadresse sahkoposti eposta почта имейл 邮箱 電子郵件 电子邮件 メール メールアドレス
    이메일 אימייל ايميل بريد
"""
PHONES = """
    phone phones phonenumber telephone telephonenumber tel telefon telefonnummer telefono telefone telefoon telefonas
    telefonszam telefoonnummer mobile mobilenumber mobilephone mobil mobiltelefon mobilnummer mobiel movil celular cell
    cellphone cellular handy handynummer mobilfunknummer portable gsm msisdn fax faxnumber whatsapp viber puhelin
    puhelinnumero komorka
    телефон мобильный мобильныи телефона 电话 手机 手机号 電話 電話番号 携帯 전화 휴대폰 טלפון هاتف جوال
"""
NAMES = """
    fname lname firstname lastname middlename fullname surname forename givenname familyname maidenname username
    nickname salutationname vorname nachname familienname nombre nombres apellido apellidos prenom cognome imie nazwisko
    voornaam achternaam fornamn efternamn fornavn etternavn efternavn etunimi sukunimi jmeno prijmeni sobrenome
    contactname customername имя фамилия отчество фио 姓名 氏名 名前 이름 성명 שם اسم
"""
ADDRESSES = """
    address addr street streetname streetaddress postaladdress adresse anschrift strasse hausnummer hausnr calle
    direccion domicilio indirizzo rue endereco rua logradouro adres ulica gata gatuadress katuosoite osoite straat
    huisnummer адрес улица 住所 地址 주소 כתובת عنوان
"""
BIRTHDAYS = """
    birth birthday birthdate bday dob dateofbirth geburtsdatum geburtstag geburt geboren nacimiento naissance nascita
    compleanno nascimento urodzenia geboortedatum fodelsedatum fodelsedag fodselsdato fodselsdag syntymaaika narozeni
    dogum
    рождения 生日 出生日期 生年月日 생년월일 생일
"""
NUMBERS = "ip passport ssn iban pesel bsn cpf nino personnummer personalausweis socialsecurity"
# Two words that say together what each alone does not.
PAIRS = {
    "e mail": EMAIL_ADDRESS, "e post": EMAIL_ADDRESS, "first name": NAME, "last name": NAME, "middle name": NAME,
    "full name": NAME, "given name": NAME, "family name": NAME, "maiden name": NAME, "user name": NAME,
    "nick name": NAME, "contact name": NAME, "customer name": NAME, "client name": NAME, "recipient name": NAME,
    "receiver name": NAME, "shipping name": NAME, "billing name": NAME, "delivery name": NAME, "card holder": NAME,
    "holder name": NAME, "social security": NUMBER, "tax id": NUMBER, "national id": NUMBER, "id card": NUMBER,
    "ip address": ADDRESS, "date naissance": BIRTHDAY,
}  # fmt: skip
# What is told of an address or a message, and not the address itself.
ABOUT = """
    allow allowed optin optout opt permission consent is has verified verification valid status state count counts sent
    opened opens clicks clicked click open bounced bounces bounce score rating domain format frequency subscribed
    unsubscribed subscription subscriber preference preferences accepts accepted marketing newsletter campaign campaigns
    os platform version device brand model type app apps website web site category provider carrier language days
    erlaubt einwilligung werbung anzahl gesendet geoffnet
"""
# Names that mean a person in a table of persons only: products and pages have names, too.
ALONE = "name names nom nome navn namn naam nimi nazwa isim contact kontakt kundenname line1 line2"
# Fields that a well-known mailing service numbers, without a word of what they hold.
NUMBERED = re.compile(r"m?merge\d+")
ENDINGS = {
    "strasse": ADDRESS, "straat": ADDRESS, "adresse": ADDRESS, "mailadresse": EMAIL_ADDRESS,
    "emailaddress": EMAIL_ADDRESS, "telefon": PHONE, "telefonnummer": PHONE, "handynummer": PHONE,
    "mobilfunknummer": PHONE, "phonenumber": PHONE, "vorname": NAME, "nachname": NAME, "firstname": NAME,
    "lastname": NAME, "geburtsdatum": BIRTHDAY, "birthday": BIRTHDAY, "fodelsedag": BIRTHDAY,
}  # fmt: skip
WITHOUT_CASE = re.compile(r"[\u0590-\u06ff\u3040-\u30ff\u4e00-\u9fff\uac00-\ud7af]")
BORDER = re.compile(r"(?<=[a-zа-я0-9])(?=[A-ZА-Я])|(?<=[A-Z])(?=[A-Z][a-z])")

BARE = str.maketrans("øłđı", "oldi")


def _plain(text: str) -> str:
    """Without case and accents; ß as ss, ø as o and ł as l."""
    low = text.casefold().translate(BARE)
    bare = "".join(sign for sign in unicodedata.normalize("NFKD", low) if not unicodedata.combining(sign))
    return unicodedata.normalize("NFC", bare)


def _set(*texts: str) -> frozenset[str]:
    return frozenset(_plain(unicodedata.normalize("NFKC", word)) for text in texts for word in text.split())


WORDS = {
    word: kind
    for kind, text in (
        (NUMBER, NUMBERS), (BIRTHDAY, BIRTHDAYS), (ADDRESS, ADDRESSES), (NAME, NAMES), (PHONE, PHONES),
        (EMAIL_ADDRESS, EMAILS),
    )
    for word in _set(text)
}  # fmt: skip
WITHOUT_BLANKS = {word: kind for word, kind in WORDS.items() if len(word) > 1 and WITHOUT_CASE.search(word)}
ABOUT_WORDS, ALONE_WORDS = _set(ABOUT), _set(ALONE)


def words(name: str) -> list[str]:
    """The words of a name: `shippingEMail_Address 1` is shipping, e, mail, address, 1."""
    parted = BORDER.sub(" ", unicodedata.normalize("NFKC", name))
    return [word for word in re.split(r"[\W_]+", _plain(parted)) if word]


@lru_cache(maxsize=10_000)
def named_personal(name: str, *, of_person: bool = False) -> str:
    """What identifying data a column or property of this name holds, as one of the words above; empty for none.

    of_person: it is a column of customers, where `Name` is the person's; elsewhere that may be a product's.
    """
    name_words = words(name)
    if not name_words or not ABOUT_WORDS.isdisjoint(name_words):
        return ""
    for word in (*name_words, "".join(name_words)):
        meaning = WORDS.get(word) or next((kind for end, kind in ENDINGS.items() if word.endswith(end)), "")
        if meaning:
            return meaning
    for first, second in pairwise(name_words):
        if meaning := PAIRS.get(f"{first} {second}", ""):
            return meaning
    return _numbered(name_words) or _without_blanks(name) or (_alone(name_words) if of_person else "")


def _numbered(name_words: list[str]) -> str:
    return NAME if any(NUMBERED.fullmatch(word) for word in name_words) else ""


def _without_blanks(name: str) -> str:
    """Languages that put no blanks between words."""
    plain = _plain(name)
    return next((kind for word, kind in WITHOUT_BLANKS.items() if word in plain), "")


def _alone(name_words: list[str]) -> str:
    return NAME if "".join(name_words) in ALONE_WORDS else ""
