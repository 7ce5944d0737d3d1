-- How often somebody has guessed. Our own tables: `GuessCount` says what a row is.

-- name: begin
-- Count one guess of an address and then of an account, and tell how many seconds the refused one
-- has to wait; no row if neither is refused. A refused address uses up no guess of an account.
-- Concurrent guesses wait for each other's row, always the address first, so none is lost.
WITH by_address AS (
    INSERT INTO executions_guesscount AS kept (purpose, whose, guesses, until)
    VALUES (%(purpose)s, %(address)s, 1, now() + make_interval(secs => %(seconds)s))
    ON CONFLICT (purpose, whose) DO UPDATE
       SET guesses = CASE WHEN kept.until <= now() THEN 1 ELSE kept.guesses + 1 END,
           until = CASE WHEN kept.until <= now() THEN excluded.until ELSE kept.until END
    RETURNING guesses > %(per_address)s AS refused, until
), by_account AS (
    INSERT INTO executions_guesscount AS kept (purpose, whose, guesses, until)
    SELECT %(purpose)s, %(account)s, 1, now() + make_interval(secs => %(seconds)s) FROM by_address WHERE NOT refused
    ON CONFLICT (purpose, whose) DO UPDATE
       SET guesses = CASE WHEN kept.until <= now() THEN 1 ELSE kept.guesses + 1 END,
           until = CASE WHEN kept.until <= now() THEN excluded.until ELSE kept.until END
    RETURNING guesses > %(per_account)s AS refused, until
)
SELECT greatest(1, ceil(extract(epoch FROM until - now())))::int AS seconds
  FROM (TABLE by_address UNION ALL TABLE by_account) AS counted
 WHERE refused
