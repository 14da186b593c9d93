ALTER TABLE invites ADD COLUMN email_sent INTEGER NOT NULL DEFAULT 0;
-- One spelling of an address: lower case, as invites have always had it.
UPDATE users SET email = lower(email) WHERE email <> lower(email) AND NOT EXISTS (SELECT 1 FROM users o WHERE o.email = lower(users.email));
