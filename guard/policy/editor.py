"""The JSON Schema of policy files: completion and complaints in an editor, while typing."""

from __future__ import annotations

import json
from typing import Any

from guard import plugins
from guard.policy.schema import PolicyModel


def policy_schema() -> dict[str, Any]:
    """The schema of PolicyModel, with the parameters of each checker that ships beside its name."""
    schema = PolicyModel.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "genguard policy"
    checker = schema["$defs"]["CheckerModel"]
    checkers = schema["properties"]["checkers"]
    known: dict[str, Any] = {}
    for name in sorted(plugins.BUILT_IN):
        model = plugins.params_model(name)
        if model is None:
            continue
        params = model.model_json_schema(ref_template=f"#/$defs/{name}.{{model}}")
        for inner, definition in params.pop("$defs", {}).items():
            schema["$defs"][f"{name}.{inner}"] = definition
        schema["$defs"][f"{name}.params"] = params
        # Under its own name a checker needs no `use`; with `use`, any name may carry its parameters.
        checker.setdefault("allOf", []).append(
            {
                "if": {"properties": {"use": {"const": name}}, "required": ["use"]},
                "then": {"properties": {"params": {"$ref": f"#/$defs/{name}.params"}}},
            }
        )
        known[name] = {
            "allOf": [
                {"$ref": "#/$defs/CheckerModel"},
                {
                    "if": {"not": {"required": ["use"]}},
                    "then": {"properties": {"params": {"$ref": f"#/$defs/{name}.params"}}},
                },
            ]
        }
    checkers["properties"] = known
    return schema


def schema_text() -> str:
    """The schema as the file that ships beside the policies."""
    return json.dumps(policy_schema(), indent=2, sort_keys=True) + "\n"
