// wait and watch, printing events or running a command for each.
#include <fmt/format.h>

#include <algorithm>

#include "base/units.h"
#include "cmd/doozer_session.h"

namespace doozer::cli {
namespace {

/// True if the command, or the printing, went well.
Result<bool> handle(const Session& session, const Event& event) {
  const std::string& command = session.invocation.exec;
  if (command.empty()) {
    TRY(write_output(format_event(event, session.style)));
    return true;
  }
  TRY_ASSIGN(const int status, run_for_event(command, event));
  if (status != 0) {
    write_error(fmt::format("doozer: the command exited with status {} for {} at revision {}\n",
                            status, event.path, event.position.revision));
  }
  return status == 0;
}

tl::unexpected<Error> nothing_came(const Session& session, std::string_view glob) {
  const auto limit = static_cast<uint64_t>(session.invocation.timeout->count());
  return fail(Code::timed_out,
              fmt::format("no change of {} within {}", glob, format_duration_us(limit)));
}

}  // namespace

Result<ExitStatus> run_wait(Session& session) {
  const std::string& glob = session.argument(0);
  int64_t from = session.invocation.revision.value_or(0);
  if (!session.invocation.revision) {
    TRY_ASSIGN(const int64_t now, session.client.rev(session.reading()));
    from = now + 1;
  }
  const WaitOptions options{.timeout = session.invocation.timeout.value_or(kNoTimeout)};
  auto event = session.client.wait(glob, from, options);
  if (!event && event.error().code == Code::timed_out) return nothing_came(session, glob);
  TRY(event);
  TRY_ASSIGN(const bool well, handle(session, *event));
  return well ? kExitOk : kExitRefused;
}

Result<ExitStatus> run_watch(Session& session) {
  const std::string& glob = session.argument(0);
  Position from;  // after now
  if (session.invocation.revision)
    from.revision = std::max<int64_t>(*session.invocation.revision, 1);
  TRY_ASSIGN(Watch watch, session.client.watch(glob, from));
  for (int64_t seen = 0; session.invocation.count == 0 || seen < session.invocation.count; ++seen) {
    auto event = watch.next(session.invocation.timeout.value_or(kNoTimeout));
    if (!event && event.error().code == Code::timed_out) return nothing_came(session, glob);
    TRY(event);
    // A command that fails for one event may succeed for the next: the watch goes on.
    TRY(handle(session, *event));
  }
  return kExitOk;
}

}  // namespace doozer::cli
