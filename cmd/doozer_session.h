// What a running command has at hand, and the commands, by name.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "cmd/doozer_args.h"
#include "cmd/doozer_format.h"
#include "cmd/doozer_process.h"
#include "doozer/client.h"

namespace doozer::cli {

struct Session {
  const Invocation& invocation;
  Style style;
  Client client;
  /// What the user may do about an error, where the command knows better than the error's code.
  std::optional<std::string> hint = {};

  const std::string& argument(size_t at) const { return invocation.arguments[at]; }
  /// The first argument; without one, the root.
  std::string path_or_root() const;
  /// As --rev, --local and --timeout say.
  ReadOptions reading() const;
  /// Like reading(), but at `revision`.
  ReadOptions reading_at(int64_t revision) const;
  /// --rev, or else the newest revision: for what reads more than once.
  Result<int64_t> pinned_revision();
};

/// Success is still an exit status: an import with conflicts, for one, is kExitRefused.
using Handler = Result<ExitStatus> (*)(Session&);

/// Null for commands that need no server.
Handler find_handler(std::string_view command);

// Commands with files of their own.
Result<ExitStatus> run_status(Session& session);
Result<ExitStatus> run_wait(Session& session);
Result<ExitStatus> run_watch(Session& session);
Result<ExitStatus> run_find(Session& session);
Result<ExitStatus> run_tree(Session& session);
Result<ExitStatus> run_export(Session& session);
Result<ExitStatus> run_import(Session& session);

}  // namespace doozer::cli
