"""What is wrong with the tags of a template, for whoever writes or saves it."""

from collections.abc import Mapping

from rapport.access.scope import Scope
from rapport.access.tenant_settings import settings_or_defaults
from rapport.channels.messages import Content
from rapport.customers import attributes
from rapport.messaging.composing import composer, misnamed
from rapport.messaging.content import sanitised
from rapport.messaging.models import Snippet
from rapport.messaging.rendering import texts_of
from rapport.messaging.settings import MessagingSettings
from rapport.messaging.tags.checking import Problem, Rules, misplacement, problems
from rapport.messaging.tags.scanning import TextKind


def tag_problems(
    scope: Scope,
    content: Content,
    *,
    language: str = "",
    transactional: bool = False,
    may_bring: bool = False,
    snippets: Mapping[str, Snippet] | None = None,
) -> list[Problem]:
    """Everything that is wrong with the tags of a template's subject, HTML, text and details, in this order.

    A transactional template may hold [%TRANS:name%], and names of any attributes, which its messages bring. may_bring:
    of a channel of campaigns on which applications send, too, so that it may hold [%TRANS:name%]. language: of the
    content, which is the usual one by default. snippets are put in as they are stored, unless some are given otherwise.
    Raises Invalid for HTML that would take long to sanitise.
    """
    settings = settings_or_defaults(scope, MessagingSettings)
    composed = composer(scope, [content], None, changed=snippets)
    if wrong := [Problem(part, None, None, "", sentence) for part, sentence in misnamed(content, composed.snippets)]:
        return wrong
    content = composed.composed(content, language or settings.usual_language)
    known = None if transactional else attributes.attributes(scope).keys()
    rules = Rules(known, transactional or may_bring, settings.condition_blocks, settings.condition_branches)
    of_subject = problems(content.subject, TextKind.SUBJECT, rules)
    texts = (content.text, *texts_of(content.details))
    of_texts = [problem for text in texts for problem in problems(text, TextKind.TEXT, rules)]
    return [*of_subject, *_of_html(content.html, rules), *of_texts]


def _of_html(html: str, rules: Rules) -> list[Problem]:
    """Conditions and places as the author wrote them, with what sanitising takes away, which somebody would miss.

    Only of the sanitised HTML is it said what is no tag: before, comments and scripts may hold anything.
    """
    clean = sanitised(html)
    in_conditions = [problem for problem in problems(html, TextKind.HTML, rules) if problem.block is not None]
    kept = [problem for problem in problems(clean, TextKind.HTML, rules) if problem.block is None or not in_conditions]
    return [*(misplacement(html) or misplacement(clean)), *kept, *in_conditions]
