"""report.json as one self-contained HTML file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jinja2


def render_html(report: Mapping[str, Any]) -> str:
    """A page of what `build_report` returned, or of what was read from report.json."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("lossval_cli"), autoescape=True, undefined=jinja2.StrictUndefined
    )
    return environment.get_template("report.html").render(report=report)
