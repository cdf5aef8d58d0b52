// Package db carries the migrations of the databases inside the program.
package db

import "embed"

// Postgres holds migrations/postgres/*.sql, named as golang-migrate wants them:
// <version>_<name>.up.sql and <version>_<name>.down.sql.
//
//go:embed migrations/postgres/*.sql
var Postgres embed.FS

// PostgresDir is the directory of the migrations within Postgres.
const PostgresDir = "migrations/postgres"
