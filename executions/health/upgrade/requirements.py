"""PURE: the requirements of a current Multica on PostgreSQL.

The facts are those of docs/contract.md section 1.
"""

POSTGRESQL = 17
REQUIRED_EXTENSIONS = ("pgcrypto", "pg_trgm")
OPTIONAL_EXTENSIONS = ("pg_bigm", "pg_cron")
EXTENSIONS = (*REQUIRED_EXTENSIONS, *OPTIONAL_EXTENSIONS)
