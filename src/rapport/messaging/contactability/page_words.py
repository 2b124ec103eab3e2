"""The words of the page on which people unsubscribe, in the language of whoever opens it."""

from collections.abc import Iterable, Mapping
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, Field

from rapport.messaging.languages import ENGLISH, accepted

LONGEST = 500
Words = TypeVar("Words", bound=BaseModel)


class PageWords(BaseModel):
    """The texts of the page; plain text, without markup."""

    model_config = ConfigDict(extra="forbid")

    title: str = Field(min_length=1, max_length=LONGEST, description="Of the page that asks")
    question: str = Field(min_length=1, max_length=LONGEST, description="Before the choices")
    similar: str = Field(min_length=1, max_length=LONGEST, description="The choice of a channel that is gone")
    everything: str = Field(min_length=1, max_length=LONGEST, description="The choice of all channels")
    button: str = Field(min_length=1, max_length=LONGEST)
    done: str = Field(min_length=1, max_length=LONGEST, description="Title of the page afterwards")
    done_text: str = Field(min_length=1, max_length=LONGEST)


# By language (ISO 639-1), in the order of PageWords.
TEXTS = {
    ENGLISH: (
        "Unsubscribe", "Which messages?", "Messages like this one", "Everything", "Unsubscribe",
        "You are unsubscribed", "You will get no more of these messages.",
    ),
    "de": (
        "Abmelden", "Welche Nachrichten?", "Nachrichten wie diese", "Alle", "Abmelden",
        "Sie sind abgemeldet", "Sie erhalten diese Nachrichten nicht mehr.",
    ),
    "fr": (
        "Se désabonner", "Quels messages ?", "Les messages comme celui-ci", "Tous", "Se désabonner",
        "Vous êtes désabonné", "Vous ne recevrez plus ces messages.",
    ),
    "es": (
        "Darse de baja", "¿Qué mensajes?", "Mensajes como este", "Todos", "Darse de baja",
        "Se ha dado de baja", "No recibirá más estos mensajes.",
    ),
    "it": (
        "Annulla l'iscrizione", "Quali messaggi?", "Messaggi come questo", "Tutti", "Annulla l'iscrizione",
        "Iscrizione annullata", "Non riceverà più questi messaggi.",
    ),
    "nl": (
        "Afmelden", "Welke berichten?", "Berichten zoals dit", "Alle", "Afmelden",
        "U bent afgemeld", "U ontvangt deze berichten niet meer.",
    ),
    "pt": (
        "Cancelar a subscrição", "Que mensagens?", "Mensagens como esta", "Todas", "Cancelar a subscrição",
        "Subscrição cancelada", "Não receberá mais estas mensagens.",
    ),
    "pl": (
        "Wypisz się", "Które wiadomości?", "Wiadomości takie jak ta", "Wszystkie", "Wypisz się",
        "Wypisano", "Nie będziesz już otrzymywać tych wiadomości.",
    ),
    "sv": (
        "Avsluta prenumerationen", "Vilka meddelanden?", "Meddelanden som detta", "Alla", "Avsluta prenumerationen",
        "Prenumerationen är avslutad", "Du får inga fler sådana meddelanden.",
    ),
    "da": (
        "Afmeld", "Hvilke beskeder?", "Beskeder som denne", "Alle", "Afmeld",
        "Du er afmeldt", "Du får ikke flere af disse beskeder.",
    ),
}  # fmt: skip
BUILT_IN = {
    language: PageWords(**dict(zip(PageWords.model_fields, texts, strict=True))) for language, texts in TEXTS.items()
}
# Of an address that nobody made here, which so belongs to no tenant: title and text.
INVALID = {
    ENGLISH: ("This address is not valid", "Please use the link of the message as it is."),
    "de": ("Diese Adresse ist ungültig", "Bitte nutzen Sie den Link aus der Nachricht unverändert."),
    "fr": ("Cette adresse n'est pas valide", "Veuillez utiliser le lien du message tel quel."),
    "es": ("Esta dirección no es válida", "Utilice el enlace del mensaje tal como está."),
    "it": ("Questo indirizzo non è valido", "Usi il link del messaggio così com'è."),
    "nl": ("Dit adres is niet geldig", "Gebruik de link uit het bericht ongewijzigd."),
    "pt": ("Este endereço não é válido", "Use a ligação da mensagem tal como está."),
    "pl": ("Ten adres jest nieprawidłowy", "Użyj linku z wiadomości bez zmian."),
    "sv": ("Adressen är inte giltig", "Använd länken i meddelandet som den är."),
    "da": ("Adressen er ikke gyldig", "Brug linket i beskeden, som det er."),
}
# Of a link to a message that cannot be shown any more: title and text.
GONE = {
    ENGLISH: ("This message is no longer available", "It can no longer be shown in a browser."),
    "de": ("Diese Nachricht ist nicht mehr verfügbar", "Sie kann nicht mehr im Browser angezeigt werden."),
    "fr": ("Ce message n'est plus disponible", "Il ne peut plus être affiché dans un navigateur."),
    "es": ("Este mensaje ya no está disponible", "Ya no se puede mostrar en un navegador."),
    "it": ("Questo messaggio non è più disponibile", "Non può più essere mostrato in un browser."),
    "nl": ("Dit bericht is niet meer beschikbaar", "Het kan niet meer in een browser worden getoond."),
    "pt": ("Esta mensagem já não está disponível", "Já não pode ser mostrada num navegador."),
    "pl": ("Ta wiadomość nie jest już dostępna", "Nie można jej już wyświetlić w przeglądarce."),
    "sv": ("Meddelandet är inte längre tillgängligt", "Det kan inte längre visas i en webbläsare."),
    "da": ("Beskeden er ikke længere tilgængelig", "Den kan ikke længere vises i en browser."),
}


def invalid_in(header: str) -> tuple[str, str, str]:
    """Language, title and text of the page for an address that is not valid, as a browser asks (Accept-Language)."""
    return _in(INVALID, header)


def gone_in(header: str) -> tuple[str, str, str]:
    """The same of the page for a message that cannot be shown any more."""
    return _in(GONE, header)


def _in(texts: Mapping[str, tuple[str, str]], header: str) -> tuple[str, str, str]:
    language = next((code for code in accepted(header) if code in texts), ENGLISH)
    return language, *texts[language]


def chosen(
    languages: Iterable[str], built_in: Mapping[str, Words], own: Mapping[str, Words], usual: str = ENGLISH
) -> tuple[str, Words]:
    """The first language of which there are words, and those; own are a tenant's, which come before built-in ones."""
    words = {**built_in, **own}
    language = next((code for code in [*languages, usual] if code in words), ENGLISH)
    return language, words[language]
