"""From files to a Policy. Every complaint names the file and the line, and suggests what was meant."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from guard import bundled, plugins
from guard.errors import ConfigError, PolicyError
from guard.policy.conditions import compile_condition
from guard.policy.schema import PolicyModel, to_policy
from guard.types import Policy

FILE_NAME = "policy.yaml"
MAX_BYTES = 1 << 20
MAX_DEPTH = 8

_Path = tuple[str | int, ...]
_Model = TypeVar("_Model", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value stands."""

    file: Path
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(slots=True)
class Document:
    """A YAML document with the place of each key and list item, by path."""

    value: Any
    places: dict[_Path, Place] = field(default_factory=dict)

    def place(self, path: _Path) -> Place:
        """The place of a path, or of the nearest path above it."""
        while path not in self.places:
            path = path[:-1]
        return self.places[path]


def resolve(reference: str | Path, *, base: Path | None = None) -> Path:
    """The file behind a path, a folder that holds policy.yaml, or the name of a shipped policy."""
    path = Path(reference)
    candidates = [base / path if base else path]
    if (base is None and len(path.parts) == 1) or not candidates[0].exists():
        # `default` and, from a directory without the checkout, `policies/default` mean the policy that ships with us.
        name = path.parts[1:] if path.parts[:1] == ("policies",) else path.parts
        candidates.append(bundled.folder("policies").joinpath(*name))
    for candidate in candidates:
        file = candidate / FILE_NAME if candidate.is_dir() else candidate
        if file.is_file():
            return file
    shipped = ", ".join(sorted(item.parent.name for item in bundled.folder("policies").glob(f"*/{FILE_NAME}")))
    raise ConfigError(
        f"there is no policy at {reference}; name a file, a folder with {FILE_NAME}, or one of: {shipped}"
    )


def load(reference: str | Path) -> Policy:
    """Load, extend, validate and digest a policy. Raises PolicyError (`file:line: …`) or ConfigError."""
    return to_policy(load_model(resolve(reference)))


def load_model(source: Path | Mapping[str, Any]) -> PolicyModel:
    """The validated effective document of a policy file, or of a policy given as plain data."""
    merged = _with_parent(_given(source), None) if isinstance(source, Mapping) else _extended(source)
    model = validate(PolicyModel, merged)
    _check_references(model, merged)
    return model


def _given(data: Mapping[str, Any]) -> Document:
    return Document(dict(data), {(): Place(Path("policy"), 1)})


def from_document(document: Mapping[str, Any]) -> Policy:
    """A policy from the effective document that the record keeps; its digest comes out the same."""
    try:
        return to_policy(PolicyModel.model_validate(dict(document)))
    except ValidationError as error:
        raise PolicyError(f"the recorded policy does not validate: {error.error_count()} errors") from error


# --- reading YAML with places --------------------------------------------------------------------------------------


def read(file: Path) -> Document:
    """Parse a YAML file into plain data with places. Duplicate keys, anchors, tags and non-UTF-8 are refused."""
    try:
        data = file.read_bytes()
        text = data.decode("utf-8")
    except OSError as error:
        raise ConfigError(f"cannot read {file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise PolicyError(f"{file}:{line}: not UTF-8; save the file as UTF-8") from error
    if len(data) > MAX_BYTES:
        raise PolicyError(f"{file}:1: larger than {MAX_BYTES} bytes; is this a policy?")
    document = Document(None)
    document.places[()] = Place(file, 1)
    try:
        _refuse_aliases(file, text)
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise PolicyError(f"{file}:{mark.line + 1 if mark else 1}: {error.problem or 'not valid YAML'}") from error
    except yaml.reader.ReaderError as error:
        line = text[: error.position].count("\n") + 1
        raise PolicyError(f"{file}:{line}: the character U+{ord(text[error.position]):04X} is not allowed") from error
    except RecursionError as error:
        raise PolicyError(f"{file}:1: nested too deeply") from error
    document.value = _plain(node, (), document, file) if node is not None else {}
    return document


def _refuse_aliases(file: Path, text: str) -> None:
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        if isinstance(event, yaml.AliasEvent):
            raise PolicyError(
                f"{file}:{event.start_mark.line + 1 if event.start_mark else 1}: aliases are not supported; write the value out"
            )


def _plain(node: yaml.Node, path: _Path, document: Document, file: Path) -> Any:
    if isinstance(node, yaml.MappingNode):
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            place = Place(file, key_node.start_mark.line + 1)
            if not isinstance(key_node, yaml.ScalarNode) or key_node.tag != "tag:yaml.org,2002:str":
                raise PolicyError(f"{place}: keys are plain text; quote this one")
            if key_node.value in result:
                raise PolicyError(f"{place}: {key_node.value!r} stands twice; keep one")
            document.places[(*path, key_node.value)] = place
            result[key_node.value] = _plain(value_node, (*path, key_node.value), document, file)
        return result
    if isinstance(node, yaml.SequenceNode):
        items = []
        for index, item in enumerate(node.value):
            document.places[(*path, index)] = Place(file, item.start_mark.line + 1)
            items.append(_plain(item, (*path, index), document, file))
        return items
    loader = yaml.SafeLoader("")
    try:
        return loader.construct_object(node)
    except (yaml.YAMLError, ValueError) as error:
        raise PolicyError(f"{file}:{node.start_mark.line + 1}: {node.tag} is not supported here") from error
    finally:
        loader.dispose()


# --- extends -------------------------------------------------------------------------------------------------------


def _extended(file: Path, seen: tuple[Path, ...] = ()) -> Document:
    real = file.resolve()
    if real in seen or len(seen) >= MAX_DEPTH:
        raise PolicyError(f"{file}:1: `extends` goes in a circle or deeper than {MAX_DEPTH} files")
    document = read(file)
    if not isinstance(document.value, dict):
        raise PolicyError(f"{file}:1: a policy is a mapping with name, version, checkers and rules")
    return _with_parent(document, file.parent, (*seen, real))


def _with_parent(child: Document, base: Path | None, seen: tuple[Path, ...] = ()) -> Document:
    parent = child.value.get("extends")
    if not isinstance(parent, str):
        return child
    try:
        file = resolve(parent, base=base)
    except ConfigError as error:
        raise PolicyError(f"{child.place(('extends',))}: {error}") from error
    return _merge(_extended(file, seen), child)


def _merge(parent: Document, child: Document) -> Document:
    """The child's values win; checkers merge by name, rules by id (a rule keeps the parent's position)."""
    merged = Document({}, {(): child.places[()]})
    names = [*parent.value, *(key for key in child.value if key not in parent.value)]
    for key in names:
        if key not in child.value:
            if key not in ("name", "version", "extends", "description"):  # a policy names itself
                _take(merged, (key,), parent, (key,))
        elif key == "checkers" and isinstance(child.value[key], dict) and isinstance(parent.value.get(key), dict):
            merged.value[key] = {}
            merged.places[(key,)] = child.places[(key,)]
            for name in [*parent.value[key], *child.value[key]]:
                _take(merged, (key, name), child if name in child.value[key] else parent, (key, name))
        elif key == "rules" and isinstance(child.value[key], list) and isinstance(parent.value.get(key), list):
            merged.value[key] = []
            merged.places[(key,)] = child.places[(key,)]
            _merge_rules(merged, parent, child)
        else:
            _take(merged, (key,), child, (key,))
    return merged


def _merge_rules(merged: Document, parent: Document, child: Document) -> None:
    def identity(rule: Any) -> str | None:
        name = rule.get("id") if isinstance(rule, dict) else None
        return name if isinstance(name, str) else None

    replaced: set[int] = set()
    for index, rule in enumerate(parent.value["rules"]):
        twins = [
            place for place, other in enumerate(child.value["rules"]) if identity(other) == identity(rule) is not None
        ]
        replaced.update(twins)
        source, at = (child, twins[0]) if twins else (parent, index)
        _take(merged, ("rules", len(merged.value["rules"])), source, ("rules", at))
    for index in range(len(child.value["rules"])):
        if index not in replaced:
            _take(merged, ("rules", len(merged.value["rules"])), child, ("rules", index))


def _take(target: Document, path: _Path, source: Document, origin: _Path) -> None:
    value = source.value
    for step in origin:
        value = value[step]
    holder = target.value
    for step in path[:-1]:
        holder = holder[step]
    if isinstance(holder, list):
        holder.append(value)
    else:
        holder[path[-1]] = value
    for place, mark in source.places.items():
        if place[: len(origin)] == origin:
            target.places[(*path, *place[len(origin) :])] = mark


# --- validating ----------------------------------------------------------------------------------------------------


def validate(model: type[_Model], document: Document, path: _Path = (), value: Any = None) -> _Model:
    """Validate (a part of) a document; the first complaint is raised as PolicyError with its place."""
    try:
        return model.model_validate(document.value if value is None else value)
    except ValidationError as error:
        # Unknown keys first: a misspelt key explains the "missing" one that follows from it.
        worst = min(error.errors(), key=lambda item: item["type"] != "extra_forbidden")
        location = worst["loc"]
        raise PolicyError(f"{document.place((*path, *location))}: {_complaint(model, worst, location)}") from error


def _complaint(model: type[BaseModel], error: Mapping[str, Any], location: _Path) -> str:
    name = ".".join(map(str, location)) or "the policy"
    if error["type"] == "extra_forbidden":
        known = list(_fields_at(model, location[:-1]))
        close = difflib.get_close_matches(str(location[-1]), known, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"known are {', '.join(known)}"
        return f"unknown key {name!r}; {hint}"
    if error["type"] == "missing":
        return f"{name!r} is missing"
    return f"{name}: {error['msg'].removeprefix('Value error, ')}"


def _fields_at(model: type[BaseModel], location: _Path) -> Mapping[str, Any]:
    """The fields that a model knows at a location, found through its JSON schema."""
    schema = model.model_json_schema()
    node: Any = schema
    for step in location:
        node = node.get("items", {}) if isinstance(step, int) else _child(node, step)
        node = next((option for option in node.get("anyOf", ()) if "$ref" in option), node)
        if "$ref" in node:
            node = schema["$defs"][node["$ref"].rsplit("/", 1)[-1]]
    return node.get("properties", {}) if isinstance(node, dict) else {}


def _child(node: Mapping[str, Any], step: str) -> Any:
    named = node.get("properties", {}).get(step)
    patterns = [*node.get("patternProperties", {}).values(), node.get("additionalProperties")]
    return named or next((item for item in patterns if isinstance(item, dict)), {})


def _check_references(model: PolicyModel, document: Document) -> None:
    for name, checker in model.checkers.items():
        path: _Path = ("checkers", name)
        try:
            params = plugins.params_model(checker.use or name)
        except ConfigError as error:
            raise PolicyError(f"{document.place(path)}: {error}") from error
        if params is not None:
            validate(params, document, (*path, "params"), checker.params)
        elif checker.params:
            raise PolicyError(f"{document.place((*path, 'params'))}: checker {name!r} takes no parameters")
    seen: set[str] = set()
    for index, rule in enumerate(model.rules):
        path = ("rules", index)
        if rule.id in seen:
            raise PolicyError(f"{document.place(path)}: rule {rule.id!r} stands twice; rename one")
        seen.add(rule.id)
        if rule.checker not in model.checkers:
            close = difflib.get_close_matches(rule.checker, list(model.checkers), n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"declared are {', '.join(model.checkers) or 'none'}"
            raise PolicyError(f"{document.place((*path, 'checker'))}: no checker {rule.checker!r} is declared; {hint}")
        deaf = set(rule.stage) - set(model.checkers[rule.checker].stages)
        if "stage" in rule.model_fields_set and deaf:
            raise PolicyError(
                f"{document.place((*path, 'stage'))}: checker {rule.checker!r} does not look at {', '.join(sorted(deaf))}, "
                "so this rule could never fire there"
            )
        known = plugins.categories(model.checkers[rule.checker].use or rule.checker)
        for number, category in enumerate(rule.category):
            if known is not None and category not in known:
                close = difflib.get_close_matches(category, known, n=1)
                hint = f"did you mean {close[0]!r}? " if close else ""
                place = document.place((*path, "category", number))
                raise PolicyError(
                    f"{place}: checker {rule.checker!r} knows no category {category!r}; {hint}"
                    f"known are {', '.join(sorted(known))}"
                )
        if rule.when is not None:
            try:
                compile_condition(rule.when)
            except ConfigError as error:
                raise PolicyError(f"{document.place((*path, 'when'))}: {error}") from error
