"""Flags that the object verbs share, in kubectl's spelling."""

from __future__ import annotations

from typing import Annotated

import typer

Kubeconfig = Annotated[str | None, typer.Option("--kubeconfig", help="Kubeconfig to use.", show_default="as kubectl")]
Context = Annotated[str, typer.Option("--context", help="Context of the kubeconfig.")]
Cluster = Annotated[str | None, typer.Option("--cluster-name", help="Use the local cluster of this name.")]
Namespace = Annotated[str, typer.Option("-n", "--namespace", help="Namespace to act in.")]
AllNamespaces = Annotated[bool, typer.Option("-A", "--all-namespaces", help="Objects of every namespace.")]
Selector = Annotated[str, typer.Option("-l", "--selector", help="Label selector.")]
FieldSelector = Annotated[str, typer.Option("--field-selector", help="Field selector.")]
Files = Annotated[list[str], typer.Option("-f", "--filename", help="File, folder or - for standard input.")]
Recursive = Annotated[bool, typer.Option("-R", "--recursive", help="Folders below folders too.")]
OutputFormat = Annotated[str, typer.Option("-o", "--output", help="json, yaml, name, wide, jsonpath=…")]
Targets = Annotated[list[str], typer.Argument(help="TYPE [NAME…] or TYPE/NAME…", show_default=False)]
Container = Annotated[str, typer.Option("-c", "--container", help="Container of the pod.")]
