// status, once or each second.
#include <chrono>
#include <thread>

#include "cmd/doozer_session.h"
#include "cmd/doozer_status.h"

namespace doozer::cli {
namespace {

constexpr std::chrono::seconds kRefresh{1};
/// To the top left, and everything below is gone: nothing flickers as it would if all were cleared.
constexpr std::string_view kHome = "\x1b[H\x1b[J";

std::string printed(const Session& session, const std::string& status) {
  return session.style.json ? status + '\n' : format_status(status, session.style);
}

/// A server that is gone does not end the watch: another one answers, or it comes back.
Result<ExitStatus> watch_status(Session& session, const ReadOptions& options) {
  const bool redraw = !session.style.json && output_is_terminal();
  const int64_t count = session.invocation.count;
  for (int64_t seen = 0;;) {
    auto status = session.client.status(options);
    const bool last = ++seen == count;
    // What cannot be reached at first, or at the end, is told by the exit status.
    if (!status && (seen == 1 || last)) return fail(std::move(status).error());
    std::string block = redraw ? std::string(kHome) : std::string();
    if (status) {
      block += printed(session, *status);
      if (!redraw && !session.style.json) block += '\n';
      TRY(write_output(block));
    } else {
      write_error(block + format_error(status.error(), "", session.style));
    }
    if (last) return kExitOk;
    std::this_thread::sleep_for(kRefresh);
  }
}

}  // namespace

Result<ExitStatus> run_status(Session& session) {
  ReadOptions options = session.reading();
  options.local = true;  // it is the server at hand that is asked
  if (session.invocation.watch) return watch_status(session, options);
  TRY_ASSIGN(const std::string status, session.client.status(options));
  TRY(write_output(printed(session, status)));
  return kExitOk;
}

}  // namespace doozer::cli
