// The commands that ask once and print the answer.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <deque>
#include <optional>

#include "base/bytes.h"
#include "base/limits.h"
#include "base/units.h"
#include "cmd/doozer_json.h"
#include "cmd/doozer_session.h"

namespace doozer::cli {
namespace {

constexpr size_t kStatsInFlight = 256;

Result<ExitStatus> print(std::string_view text) {
  TRY(write_output(text));
  return kExitOk;
}

/// Prints the answer to a write. A user who sees no answer must hear that the write was done.
Result<ExitStatus> print_written(std::string_view text, std::optional<int64_t> revision) {
  auto printed = write_output(text);
  if (printed) return kExitOk;
  Error error = std::move(printed).error();
  error.message += "; the write was done";
  if (revision) error.message += fmt::format(", at revision {}", *revision);
  return fail(std::move(error));
}

tl::unexpected<Error> missing(std::string_view path) {
  return fail(Code::not_found, fmt::format("no such file or directory: {}", path));
}

/// REQUIRES: parse_command_line has seen that it is a number.
int64_t revision_argument(const Session& session) {
  const auto revision = parse_int(session.argument(1));
  CHECK(revision.has_value());
  return *revision;
}

/// What set and add write: an argument, a file, or standard input.
Result<std::string> value_to_write(const Session& session, size_t value_at) {
  if (session.invocation.arguments.size() > value_at) return session.argument(value_at);
  const std::string& file = session.invocation.file;
  return read_input(file.empty() ? "-" : file, kValueBytesCeiling);
}

Result<ExitStatus> write_file(Session& session, int64_t revision, size_t value_at) {
  TRY_ASSIGN(const std::string value, value_to_write(session, value_at));
  TRY_ASSIGN(const int64_t written, session.client.set(session.argument(0), value, revision));
  return print_written(format_written(session.argument(0), written, session.style), written);
}

Result<ExitStatus> run_add(Session& session) { return write_file(session, kMissing, 1); }

Result<ExitStatus> run_set(Session& session) {
  return write_file(session, revision_argument(session), 2);
}

Result<ExitStatus> run_del(Session& session) {
  TRY(session.client.del(session.argument(0), revision_argument(session)));
  if (!session.style.json) return kExitOk;
  JsonObject object;
  object.text("path", session.argument(0)).boolean("deleted", true);
  return print_written(object.str() + '\n', std::nullopt);
}

Result<ExitStatus> run_get(Session& session) {
  TRY_ASSIGN(const File file, session.client.get(session.argument(0), session.reading()));
  if (!file.exists()) return missing(session.argument(0));
  return print(format_get(file, session.style));
}

Result<ExitStatus> run_stat(Session& session) {
  TRY_ASSIGN(const Stat stat, session.client.stat(session.argument(0), session.reading()));
  if (stat.kind == Stat::Kind::missing) return missing(session.argument(0));
  return print(format_stat(session.argument(0), stat, session.style));
}

Result<ExitStatus> run_touch(Session& session) {
  TRY_ASSIGN(const File file, session.client.get(session.argument(0)));
  TRY_ASSIGN(const int64_t revision,
             session.client.set(session.argument(0), file.value, file.revision));
  if (!session.style.json) return kExitOk;
  return print_written(format_written(session.argument(0), revision, session.style), revision);
}

Result<ExitStatus> run_nop(Session& session) {
  TRY(session.client.nop());
  return session.style.json ? print_written("{}\n", std::nullopt) : kExitOk;
}

Result<ExitStatus> run_rev(Session& session) {
  TRY_ASSIGN(const int64_t revision, session.client.rev(session.reading()));
  if (!session.style.json) return print(fmt::format("{}\n", revision));
  return print(JsonObject().number("rev", revision).str() + '\n');
}

Result<ExitStatus> run_self(Session& session) {
  ReadOptions options = session.reading();
  options.local = true;  // it is the server at hand that is asked for
  TRY_ASSIGN(const std::string identity, session.client.self(options));
  if (!session.style.json) return print(identity);
  return print(JsonObject().text("self", identity).str() + '\n');
}

/// Names with what stat tells of each, all as of the listing's revision.
Result<std::vector<LongName>> stat_names(Session& session, const std::string& path,
                                         const Listing& listing) {
  const std::string prefix = path == "/" ? path : path + '/';
  const ReadOptions options = session.reading_at(listing.revision);
  std::vector<LongName> names;
  std::deque<std::future<Result<Stat>>> asked;
  for (size_t next = 0; names.size() < listing.names.size();) {
    while (next < listing.names.size() && asked.size() < kStatsInFlight) {
      asked.push_back(session.client.future_stat(prefix + listing.names[next++], options));
    }
    TRY_ASSIGN(const Stat stat, asked.front().get());
    asked.pop_front();
    names.push_back({listing.names[names.size()], stat});
  }
  return names;
}

Result<ExitStatus> run_ls(Session& session) {
  const std::string path = session.path_or_root();
  TRY_ASSIGN(const Listing listing, session.client.ls(path, session.reading()));
  if (!session.invocation.long_listing) return print(format_names(path, listing, session.style));
  TRY_ASSIGN(const std::vector<LongName> names, stat_names(session, path, listing));
  return print(format_long_names(path, names, listing.revision, session.style));
}

Result<ExitStatus> run_walk(Session& session) {
  Result<> written;
  TRY(session.client.walk_each(session.argument(0), session.reading(), [&](const File& file) {
    written = write_output(format_file(file, session.style));
    return written.has_value();
  }));
  TRY(written);
  return kExitOk;
}

struct HandlerRow {
  std::string_view command;
  Handler handler;
};

constexpr HandlerRow kHandlers[] = {
    {"add", run_add},       {"del", run_del},       {"export", run_export}, {"find", run_find},
    {"get", run_get},       {"import", run_import}, {"ls", run_ls},         {"nop", run_nop},
    {"rev", run_rev},       {"self", run_self},     {"set", run_set},       {"stat", run_stat},
    {"status", run_status}, {"touch", run_touch},   {"tree", run_tree},     {"wait", run_wait},
    {"walk", run_walk},     {"watch", run_watch},
};

}  // namespace

std::string Session::path_or_root() const {
  return invocation.arguments.empty() ? "/" : invocation.arguments[0];
}

ReadOptions Session::reading() const {
  ReadOptions options;
  options.local = invocation.local;
  // The protocol's revision 0 means 1; the library's 0 means the newest.
  if (invocation.revision) options.revision = std::max<int64_t>(*invocation.revision, 1);
  return options;
}

ReadOptions Session::reading_at(int64_t revision) const {
  ReadOptions options = reading();
  options.revision = revision;
  return options;
}

Result<int64_t> Session::pinned_revision() {
  if (invocation.revision) return std::max<int64_t>(*invocation.revision, 1);
  return client.rev(reading());
}

Handler find_handler(std::string_view command) {
  const auto* found = std::ranges::find(kHandlers, command, &HandlerRow::command);
  return found == std::end(kHandlers) ? nullptr : found->handler;
}

}  // namespace doozer::cli
