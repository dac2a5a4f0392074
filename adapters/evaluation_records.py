"""Evaluations and their scores, as they outlive the service."""

import threading
from typing import Any

from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from adapters.database import errors_are_ours
from adapters.errors import NotFound
from adapters.tables import EvaluationTable, ScoreTable


class EvaluationRecords:
    """The evaluations of a registry. A body is an evaluation as the API shows it.

    `lock` is the registry's own: SQLite refuses the write of one who read before another wrote.
    """

    def __init__(self, engine: Engine, lock: threading.Lock) -> None:
        self._engine, self._lock = engine, lock

    def save(self, body: dict[str, Any]) -> None:
        """Writes an evaluation, its scores with it when it has completed."""
        name, _, version = body["model"].partition("@")
        about = {"name": name if version else None, "version": version or None}
        with self._lock, errors_are_ours(), Session(self._engine) as session:
            session.merge(EvaluationTable(id=body["id"], created=body["created"], status=body["status"], body=body, **about))
            session.flush()
            for metric, figures in (body["scores"] or {}).items():
                base = body["base"]
                session.merge(
                    ScoreTable(
                        evaluation=body["id"], metric=metric, base=base["digest"], format=base["format"], figures=figures, **about
                    )
                )
            session.commit()

    def all(self, status: str | None = None, version: str | None = None) -> list[dict[str, Any]]:
        """The evaluations, newest first."""
        query = select(EvaluationTable).order_by(EvaluationTable.created.desc())
        query = query if status is None else query.filter_by(status=status)
        query = query if version is None else query.filter_by(version=version)
        with errors_are_ours(), Session(self._engine) as session:
            return [dict(row.body) for row in session.scalars(query)]

    def get(self, id: str) -> dict[str, Any]:
        """One evaluation. Raises NotFound."""
        with errors_are_ours(), Session(self._engine) as session:
            row = session.get(EvaluationTable, id)
            if row is None:
                raise NotFound(f"there is no evaluation {id!r}", param="id")
            return dict(row.body)

    def scores(self, version: str) -> dict[str, list[dict[str, Any]]]:
        """A version's scores by the format of the base they were measured on, each format's newest first."""
        query = select(ScoreTable, EvaluationTable).join(EvaluationTable).where(ScoreTable.version == version)
        found: dict[str, list[dict[str, Any]]] = {}
        with errors_are_ours(), Session(self._engine) as session:
            for score, row in session.execute(query.order_by(EvaluationTable.created.desc(), ScoreTable.metric)):
                found.setdefault(score.format, []).append(
                    {
                        "evaluation": score.evaluation,
                        "finished": row.body["finished"],
                        "base": score.base,
                        "against": row.body["baseline"],
                        "n": row.body["n"],
                        "metric": score.metric,
                        **score.figures,
                    }
                )
        return found
