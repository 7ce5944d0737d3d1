"""PURE: one explanation for each finding code. The page, `manage.py explain` and the docs show it.

`explanation.py` says what an explanation is. The texts are grouped like the findings they explain,
and their commands come from `executions/health/remedies.py`.
"""

from collections.abc import Mapping

from executions.health.explain.attempts import OF_ATTEMPTS
from executions.health.explain.explanation import Explanation
from executions.health.explain.progress import OF_PROGRESS
from executions.health.explain.surroundings import OF_THE_SURROUNDINGS
from executions.health.explain.watermark import OF_THE_WATERMARK
from executions.health.findings.base import FindingCode

__all__ = ["EXPLANATIONS", "Explanation"]

_ALL = {
    one.code: one for one in (*OF_PROGRESS, *OF_ATTEMPTS, *OF_THE_WATERMARK, *OF_THE_SURROUNDINGS)
}
# In the order of the codes, which is that of docs/contract.md section 6.
EXPLANATIONS: Mapping[FindingCode, Explanation] = {code: _ALL[code] for code in FindingCode}
