// SPDX-License-Identifier: BSL-1.0
//
// One query with libpq alone, for `postgres` to be compared with.
#include <libpq-fe.h>

#include <cstdio>
#include <cstdlib>

int main()
{
    const char* conninfo = std::getenv("LOOPSAFE_POSTGRES");
    PGconn* const server = PQconnectdb(conninfo == nullptr ? "" : conninfo);
    const char* const values[] = {"3"};
    PGresult* const rows =
        PQexecParams(server, "select n, n * n from generate_series(1, $1::int) n", 1, nullptr,
                     values, nullptr, nullptr, 0);
    const int count = PQntuples(rows);
    for (int i = 0; i != count; ++i)
        std::printf("%s * %s = %s\n", PQgetvalue(rows, i, 0), PQgetvalue(rows, i, 0),
                    PQgetvalue(rows, i, 1));
    PQclear(rows);
    PQfinish(server);
    return count == 3 ? 0 : 1;
}
