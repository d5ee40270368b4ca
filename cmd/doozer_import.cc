// import: brings files back without writing over anything that somebody else put there.
//
// Each file is first tried as a creation, many in flight. Where something is in the way, it is read
// and compared: the same bytes are fine, others are a conflict, told and left alone unless
// --overwrite says otherwise.
#include <fmt/format.h>

#include <deque>

#include "base/limits.h"
#include "base/units.h"
#include "cmd/doozer_archive.h"
#include "cmd/doozer_json.h"
#include "cmd/doozer_session.h"

namespace doozer::cli {
namespace {

constexpr size_t kArchiveBytesMax = size_t{64} * 1024 * kMiB;
constexpr size_t kWritesInFlight = 64;
constexpr std::string_view kControl = "/ctl";

struct Tally {
  int64_t created = 0;
  int64_t unchanged = 0;
  int64_t replaced = 0;
  int64_t conflicts = 0;
  int64_t skipped = 0;  ///< under /ctl

  int64_t written() const { return created + replaced; }
  /// All that the export has at or below the path that was asked for.
  int64_t seen() const { return written() + unchanged + conflicts + skipped; }

  std::string render(bool json, bool dry_run) const {
    if (json) {
      JsonObject object;
      object.number("created", created).number("unchanged", unchanged);
      object.number("replaced", replaced).number("conflicts", conflicts);
      object.number("skipped", skipped).boolean("dry_run", dry_run);
      return object.str() + '\n';
    }
    return fmt::format(
        "{}created {}, unchanged {}, replaced {}, conflicts {}, skipped under /ctl {}\n",
        dry_run ? "dry run: " : "", created, unchanged, replaced, conflicts, skipped);
  }
};

class Importer {
 public:
  explicit Importer(Session& session) : session_(session) {}

  /// Stops at the first error that concerns more than one file.
  Result<> run(const std::vector<File>& files) {
    Result<> result;
    for (const File& file : files) {
      if (!wanted(file)) continue;
      if (session_.invocation.dry_run) {
        TRY(reconcile(file));
        continue;
      }
      flying_.push_back({&file, session_.client.future_set(file.path, file.value, kMissing)});
      if (flying_.size() >= kWritesInFlight) result = land();
      if (!result) break;
    }
    // Those in flight are counted whatever happened.
    while (!flying_.empty()) {
      Result<> landed = land();
      if (result) result = std::move(landed);
    }
    return result;
  }

  const Tally& tally() const { return tally_; }

 private:
  struct Flying {
    const File* file;
    std::future<Result<int64_t>> answer;
  };

  bool wanted(const File& file) {
    if (!is_below(file.path, session_.invocation.below)) return false;
    if (!is_below(file.path, kControl)) return true;
    ++tally_.skipped;
    return false;
  }

  Result<> land() {
    Flying flying = std::move(flying_.front());
    flying_.pop_front();
    auto answer = flying.answer.get();
    if (answer) {
      ++tally_.created;
      return {};
    }
    const Code code = answer.error().code;
    // What is too large to be sent may stand there all the same, brought by another import.
    if (code == Code::revision_mismatch || code == Code::too_large) return reconcile(*flying.file);
    if (concerns_one_file(code)) return conflict(*flying.file, answer.error().message);
    return fail(std::move(answer).error());
  }

  static bool concerns_one_file(Code code) {
    return code == Code::is_directory || code == Code::not_directory || code == Code::bad_path ||
           code == Code::too_large;
  }

  /// Something may be there: looks at it and decides.
  Result<> reconcile(const File& file) {
    auto present = session_.client.get(file.path);
    if (!present) {
      if (concerns_one_file(present.error().code)) {
        return conflict(file, present.error().message);
      }
      return fail(std::move(present).error());
    }
    if (present->exists() && present->value == file.value) {
      ++tally_.unchanged;
      return {};
    }
    if (present->exists() && !session_.invocation.overwrite) {
      return conflict(file,
                      fmt::format("holds something else since revision {}", present->revision));
    }
    if (const size_t limit = session_.invocation.client.value_bytes_max;
        file.value.size() > limit) {
      return conflict(file, fmt::format("has {} bytes, and values over {} are sent only with "
                                        "--value-bytes-max",
                                        file.value.size(), format_size(limit)));
    }
    if (!session_.invocation.dry_run) {
      auto written = session_.client.set(file.path, file.value, present->revision);
      if (!written && written.error().code == Code::revision_mismatch) {
        return conflict(file, "was changed by somebody else just now");
      }
      if (!written && concerns_one_file(written.error().code)) {
        return conflict(file, written.error().message);
      }
      TRY(written);
    }
    ++(present->exists() ? tally_.replaced : tally_.created);
    return {};
  }

  Result<> conflict(const File& file, std::string_view why) {
    ++tally_.conflicts;
    write_error(fmt::format("doozer: conflict: {}: {}\n", file.path, why));
    return {};
  }

  Session& session_;
  Tally tally_;
  std::deque<Flying> flying_;
};

}  // namespace

Result<ExitStatus> run_import(Session& session) {
  const auto& arguments = session.invocation.arguments;
  Archive archive;
  {
    const std::string name = arguments.empty() ? "-" : arguments[0];
    TRY_ASSIGN(const std::string bytes, read_input(name, kArchiveBytesMax));
    Result<Archive> parsed = parse_archive(bytes);
    if (!parsed) {
      if (parsed.error().code == Code::unsupported) {
        session.hint = "A doozer of the version that wrote it reads it.";
      }
      return fail(with_context(std::move(parsed).error(), name == "-" ? "standard input" : name));
    }
    archive = *std::move(parsed);
  }
  Importer importer(session);
  const Result<> imported = importer.run(archive.files);
  const bool dry_run = session.invocation.dry_run;
  const std::string told = importer.tally().render(session.style.json, dry_run);
  const bool wrote = !dry_run && importer.tally().written() > 0;
  if (auto printed = write_output(told); !printed) {
    Error error = std::move(printed).error();
    if (wrote) error.message += "; files were written: " + told.substr(0, told.size() - 1);
    return fail(std::move(error));
  }
  if (!imported && wrote) {
    session.hint = imported.error().code == Code::unknown_outcome
                       ? "What the tally counts was written, and a few more files may have been; "
                         "the same import again goes on from there."
                       : "What the tally counts was written and stays; the same import again goes "
                         "on from there.";
  }
  TRY(imported);
  if (session.invocation.below != "/" && importer.tally().seen() == 0) {
    session.hint = "";
    return fail(Code::not_found,
                fmt::format("the export has no file at or below {}", session.invocation.below));
  }
  return importer.tally().conflicts == 0 ? kExitOk : kExitRefused;
}

}  // namespace doozer::cli
