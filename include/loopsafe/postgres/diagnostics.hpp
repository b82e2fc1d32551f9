// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_POSTGRES_DIAGNOSTICS_HPP
#define LOOPSAFE_POSTGRES_DIAGNOSTICS_HPP

#include <cstddef>
#include <functional>
#include <string>

namespace loopsafe::postgres {

/// The server's report of an error or a notice; a field that it left out is empty.
///
/// Source: PostgreSQL documentation, "Error and Notice Message Fields".
struct diagnostics {
    std::string severity = {}; ///< ERROR, FATAL, WARNING, NOTICE, ...: never translated
    std::string sqlstate = {}; ///< five characters; empty if the message is libpq's own
    std::string message = {};  ///< the primary message
    std::string detail = {};
    std::string hint = {};
    std::string context = {}; ///< the call stack of server functions
    std::string schema = {};
    std::string table = {};
    std::string column = {};
    std::string constraint = {};
    std::size_t position = 0; ///< in the statement, in characters from 1; 0 for none
    std::string server = {};  ///< of an error: host, port, database and user, as far as known
};

/// A message that is not an error: NOTICE, WARNING, INFO, ...
using notice = diagnostics;

/// Called for every notice of every connection of one connector.
///
/// Context: the connection's own. It may be called in the middle of an operation, so it cannot
/// await, and it must not touch the connection. Exception safety: an exception is rethrown by the
/// operation that received the notice, once the exchange with the server is complete, or dropped if
/// there is none.
/// Thread safety: it is called from several threads at once if the connections live on several.
using notice_handler = std::function<void(const notice&)>;

} // namespace loopsafe::postgres

#endif
