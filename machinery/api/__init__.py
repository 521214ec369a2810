"""The API as data: which kinds exist, how their objects look, and what is done to them before anything is stored.

Everything here is pure: objects in, objects out; time is an argument; the only reading is of packaged definitions, on
first use. Nothing is imported by this file, so that each process pays for the parts it uses.

Kinds
    ``kinds``        Kind, Subresource: one row; ``api_path(kind, namespace, name, subresource)``
    ``builtin``      the rows of the release; METRICS_KINDS to add when something measures
    ``table``        KINDS and KindTable: by_resource, by_kind, by_api_version, of(obj), resolve(what people type),
                     preferred, hub_of, add, remove, generation; iteration in discovery order
    ``discovery``    documents of /api, /apis, groups, versions; aggregated v2
Schemas
    ``schema``       schema_for(kind), schema_for_kind(group, version, kind), compile_schema(custom) -> SchemaNode
    ``bodies``       parse_json, parse_yaml -> (value, doubled fields); parse_json_exactly for error texts
    ``decode``       decode(obj, schema) in place -> unknown fields, raises DecodeError with the text to answer;
                     check_fields, prune_unknown, strict_problems, strict_error
    ``shape``        complete(obj, schema): the zero values that are printed and those that are not
    ``gotypes``      names of types and embedded structs in error texts; ``enums`` published values
    ``instants``     canonical metav1.Time and MicroTime
    ``openapi``      index_v3, document_hash; documents as bytes or values: document_v3, openapi_v3, _v2
Objects
    ``defaults``     apply_defaults(kind, obj) in place (ends with ``shape.complete``); compute_qos_class(pod)
    ``conversions``  converters(hub, kind): the two faces of autoscalers and events
    ``printers``     table(kind, objects, now, …), columns, row, printer_for; ``printers.custom.custom_printer``;
                     ``printers.durations.human_duration``
    ``jsonpath``     find, find_one: columns, scale paths and selectable fields of custom resources
    ``wire``         protobuf

The order of a write: parse → decode → (patch or apply) → apply_defaults → prepare → admission → apply_defaults →
validate. Server-side apply needs keys of list items before defaults run: nodes of such fields carry ``default`` (the
protocol of ports). Custom resources are pruned, not decoded: their types are judged by their own schema.
"""
