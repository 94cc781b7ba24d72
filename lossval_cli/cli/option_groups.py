"""Groups of options as dataclasses: each field is one option of every command that has the group.

`@grouped_options` replaces a parameter that is annotated with a subclass of `OptionGroup` by the group's fields,
so that Typer sees plain options, and builds the object again when the command is called.
"""

from __future__ import annotations

import copy
import dataclasses
import functools
import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, cast, get_type_hints


class Only:
    """Commands that have an option, in the annotation of its field. Without it, all commands have it."""

    def __init__(self, *verbs: str) -> None:
        self.verbs = verbs


class DefaultText:
    """Text of the help on a default, by command, in the annotation of its field."""

    def __init__(self, **by_verb: str) -> None:
        self.by_verb = by_verb


@dataclass(frozen=True, kw_only=True)
class OptionGroup:
    """Base of dataclasses whose fields are options: `name: Annotated[TYPE, typer.Option(...)] = DEFAULT`."""

    def given(self) -> dict[str, Any]:
        """The options that were given a value other than their default, by field name."""
        named = {item.name: (getattr(self, item.name), item.default) for item in dataclasses.fields(self)}
        return {name: value for name, (value, default) in named.items() if value != default and value != []}

    @classmethod
    def spelling(cls, name: str) -> str:
        """The option of a field as users write it: `ids` -> `--id`."""
        hint = get_type_hints(cls, include_extras=True)[name]
        (info,) = (item for item in hint.__metadata__ if hasattr(item, "param_decls"))
        # An Option takes its first name as its default when it stands in an annotation.
        declared = [text for text in (info.default, *(info.param_decls or ())) if isinstance(text, str)]
        return next((text for text in declared if text.startswith("--")), "--" + name.replace("_", "-"))


def grouped_options(command: Callable[..., None]) -> Callable[..., None]:
    """Return `command` as Typer should see it: its option groups spread out into their fields, in order."""
    verb, hints = command.__name__, get_type_hints(command, include_extras=True)
    parameters: list[inspect.Parameter] = []
    groups: dict[str, tuple[type[OptionGroup], list[str]]] = {}
    for parameter in inspect.signature(command).parameters.values():
        hint = hints[parameter.name]
        if isinstance(hint, type) and issubclass(hint, OptionGroup):
            options = list(_options(hint, verb))
            groups[parameter.name] = (hint, [option.name for option in options])
            parameters += options
        else:
            parameters.append(parameter.replace(annotation=hint, kind=inspect.Parameter.KEYWORD_ONLY))

    @functools.wraps(command)
    def spread(**values: Any) -> None:
        built = {
            name: group(**{field: values.pop(field) for field in fields if field in values})
            for name, (group, fields) in groups.items()
        }
        command(**built, **values)

    spread.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    spread.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return spread


def _options(group: type[OptionGroup], verb: str) -> Iterator[inspect.Parameter]:
    """The fields of `group` that are options of `verb`, as parameters."""
    hints = get_type_hints(group, include_extras=True)
    for field in dataclasses.fields(group):
        hint = hints[field.name]
        notes = hint.__metadata__
        if any(isinstance(note, Only) and verb not in note.verbs for note in notes):
            continue
        (info,) = (note for note in notes if not isinstance(note, Only | DefaultText))
        for note in notes:
            if isinstance(note, DefaultText) and verb in note.by_verb:
                info = copy.copy(info)
                info.help = f"{info.help} [default: {note.by_verb[verb]}]."
        annotation = cast(Any, Annotated)[hint.__origin__, info]
        yield inspect.Parameter(
            field.name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=annotation
        )
