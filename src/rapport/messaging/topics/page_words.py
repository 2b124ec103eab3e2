"""The words of the page of preferences and of the message with a link to it, in the language of who reads them."""

from pydantic import BaseModel, ConfigDict, Field

from rapport.messaging.contactability.page_words import LONGEST
from rapport.messaging.languages import ENGLISH


class PreferenceWords(BaseModel):
    """The texts of the page; plain text, without markup."""

    model_config = ConfigDict(extra="forbid")

    title: str = Field(min_length=1, max_length=LONGEST, description="Of the page")
    always: str = Field(min_length=1, max_length=LONGEST, description="Beside a mandatory topic")
    nothing_on_channel: str = Field(
        min_length=1, max_length=LONGEST, description="The choice of no messages on a channel"
    )
    nothing: str = Field(min_length=1, max_length=LONGEST, description="The choice of no messages at all")
    save: str = Field(min_length=1, max_length=LONGEST, description="The button")
    done: str = Field(min_length=1, max_length=LONGEST, description="Title of the page afterwards")
    done_text: str = Field(min_length=1, max_length=LONGEST, description="Afterwards")
    ask: str = Field(min_length=1, max_length=LONGEST, description="Title of the page that sends a link")
    ask_text: str = Field(min_length=1, max_length=LONGEST, description="On that page")
    address: str = Field(min_length=1, max_length=LONGEST, description="The field of the address")
    send: str = Field(min_length=1, max_length=LONGEST, description="The button that sends a link")
    asked: str = Field(min_length=1, max_length=LONGEST, description="Title after that")
    asked_text: str = Field(
        min_length=1, max_length=LONGEST, description="After that, whether the address is known or not"
    )
    mail: str = Field(
        min_length=1, max_length=LONGEST, description="In the message, before the link, which works for 24 hours"
    )


# By language (ISO 639-1), in the order of PreferenceWords.
TEXTS = {
    ENGLISH: (
        "Your message preferences", "Always sent", "Nothing on this channel", "Send me nothing at all", "Save",
        "Your choices are saved", "They apply from now on.",
        "Change which messages you get", "Enter your e-mail address. We will send you a link.", "E-mail address",
        "Send the link", "Check your e-mail", "If we know this address, a message with a link is on its way.",
        "Use this link within 24 hours to choose which messages you get. If you did not ask for it, ignore this mail.",
    ),
    "de": (
        "Ihre Nachrichten", "Wird immer gesendet", "Nichts auf diesem Weg", "Mir gar nichts senden", "Speichern",
        "Ihre Auswahl ist gespeichert", "Sie gilt ab sofort.",
        "Nachrichten auswählen", "Geben Sie Ihre E-Mail-Adresse ein. Wir senden Ihnen einen Link.", "E-Mail-Adresse",
        "Link senden", "Sehen Sie in Ihre E-Mails",
        "Wenn wir diese Adresse kennen, ist eine Nachricht mit einem Link unterwegs.",
        "Mit diesem Link wählen Sie in den nächsten 24 Stunden aus, welche Nachrichten Sie erhalten. Haben Sie ihn "
        "nicht angefordert, so beachten Sie diese E-Mail nicht.",
    ),
    "fr": (
        "Vos préférences de messages", "Toujours envoyé", "Rien par ce canal", "Ne rien m'envoyer", "Enregistrer",
        "Vos choix sont enregistrés", "Ils s'appliquent dès maintenant.",
        "Choisir vos messages", "Saisissez votre adresse e-mail. Nous vous enverrons un lien.", "Adresse e-mail",
        "Envoyer le lien", "Consultez vos e-mails",
        "Si nous connaissons cette adresse, un message avec un lien est en route.",
        "Utilisez ce lien dans les 24 heures pour choisir vos messages. Si vous ne l'avez pas demandé, ignorez cet "
        "e-mail.",
    ),
    "es": (
        "Sus preferencias de mensajes", "Se envía siempre", "Nada por este canal", "No enviarme nada", "Guardar",
        "Sus preferencias se han guardado", "Se aplican desde ahora.",
        "Elegir sus mensajes", "Escriba su dirección de correo. Le enviaremos un enlace.", "Dirección de correo",
        "Enviar el enlace", "Revise su correo", "Si conocemos esta dirección, un mensaje con un enlace está en camino.",
        "Use este enlace en las próximas 24 horas para elegir sus mensajes. Si no lo ha pedido, ignore este correo.",
    ),
    "it": (
        "Le Sue preferenze sui messaggi", "Sempre inviato", "Niente su questo canale", "Non inviarmi nulla", "Salva",
        "Le Sue scelte sono salvate", "Valgono da subito.",
        "Scegliere i messaggi", "Inserisca il Suo indirizzo e-mail. Le invieremo un link.", "Indirizzo e-mail",
        "Invia il link", "Controlli la Sua e-mail",
        "Se conosciamo questo indirizzo, un messaggio con un link è in arrivo.",
        "Usi questo link entro 24 ore per scegliere i messaggi. Se non lo ha richiesto, ignori questa e-mail.",
    ),
    "nl": (
        "Uw berichtvoorkeuren", "Wordt altijd verzonden", "Niets via dit kanaal", "Stuur mij helemaal niets", "Opslaan",
        "Uw keuzes zijn opgeslagen", "Ze gelden vanaf nu.",
        "Kies uw berichten", "Vul uw e-mailadres in. Wij sturen u een link.", "E-mailadres",
        "Link sturen", "Bekijk uw e-mail", "Als wij dit adres kennen, is een bericht met een link onderweg.",
        "Kies met deze link binnen 24 uur welke berichten u ontvangt. Hebt u er niet om gevraagd, negeer deze e-mail "
        "dan.",
    ),
    "pt": (
        "As suas preferências de mensagens", "Sempre enviado", "Nada por este canal", "Não me enviar nada", "Guardar",
        "As suas escolhas foram guardadas", "Aplicam-se a partir de agora.",
        "Escolher as suas mensagens", "Introduza o seu endereço de e-mail. Enviaremos uma ligação.",
        "Endereço de e-mail", "Enviar a ligação", "Consulte o seu e-mail",
        "Se conhecermos este endereço, uma mensagem com uma ligação está a caminho.",
        "Use esta ligação dentro de 24 horas para escolher as suas mensagens. Se não a pediu, ignore este e-mail.",
    ),
    "pl": (
        "Twoje preferencje wiadomości", "Zawsze wysyłane", "Nic tym kanałem", "Nie wysyłaj mi niczego", "Zapisz",
        "Wybór zapisano", "Obowiązuje od teraz.",
        "Wybierz wiadomości", "Podaj adres e-mail. Wyślemy link.", "Adres e-mail",
        "Wyślij link", "Sprawdź pocztę", "Jeśli znamy ten adres, wiadomość z linkiem jest w drodze.",
        "Użyj tego linku w ciągu 24 godzin, aby wybrać wiadomości. Jeśli to nie Ty, zignoruj tę wiadomość.",
    ),
    "sv": (
        "Dina meddelandeval", "Skickas alltid", "Inget i den här kanalen", "Skicka ingenting alls", "Spara",
        "Dina val är sparade", "De gäller från och med nu.",
        "Välj dina meddelanden", "Ange din e-postadress. Vi skickar en länk.", "E-postadress",
        "Skicka länken", "Se din e-post", "Om vi känner till adressen är ett meddelande med en länk på väg.",
        "Använd länken inom 24 timmar för att välja dina meddelanden. Om du inte bad om den kan du bortse från mejlet.",
    ),
    "da": (
        "Dine beskedvalg", "Sendes altid", "Intet i denne kanal", "Send mig slet ingenting", "Gem",
        "Dine valg er gemt", "De gælder fra nu af.",
        "Vælg dine beskeder", "Skriv din e-mailadresse. Vi sender dig et link.", "E-mailadresse",
        "Send linket", "Se i din e-mail", "Hvis vi kender adressen, er en besked med et link på vej.",
        "Brug linket inden for 24 timer til at vælge dine beskeder. Har du ikke bedt om det, så se bort fra mailen.",
    ),
}  # fmt: skip
BUILT_IN = {
    language: PreferenceWords(**dict(zip(PreferenceWords.model_fields, texts, strict=True)))
    for language, texts in TEXTS.items()
}
