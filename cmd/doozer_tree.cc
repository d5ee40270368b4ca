// find, tree and export: everything below a path, all as of one revision.
#include <fmt/format.h>

#include "cmd/doozer_archive.h"
#include "cmd/doozer_output.h"
#include "cmd/doozer_session.h"

namespace doozer::cli {
namespace {

/// A place in the tree at one revision: what the files below it match.
struct Place {
  std::string path;
  std::string glob;
  int64_t revision = 0;
  bool file = false;
};

Result<Place> find_place(Session& session) {
  Place place{.path = session.path_or_root(), .glob = {}};
  TRY_ASSIGN(place.revision, session.pinned_revision());
  TRY_ASSIGN(const Stat stat, session.client.stat(place.path, session.reading_at(place.revision)));
  // A store without any file has a root all the same.
  if (stat.kind == Stat::Kind::missing && place.path != "/") {
    return fail(Code::not_found, fmt::format("no such file or directory: {}", place.path));
  }
  place.file = stat.kind == Stat::Kind::file;
  place.glob = place.path == "/" ? "/**" : place.path + (place.file ? "" : "/**");
  return place;
}

Result<std::vector<TreePath>> paths_below(Session& session, const Place& place) {
  std::vector<std::string> files;
  TRY(session.client.walk_each(place.glob, session.reading_at(place.revision), [&](File file) {
    files.push_back(std::move(file.path));
    return true;
  }));
  return tree_paths(place.path, std::move(files));
}

}  // namespace

Result<ExitStatus> run_find(Session& session) {
  TRY_ASSIGN(const Place place, find_place(session));
  TRY_ASSIGN(const auto paths, paths_below(session, place));
  TRY(write_output(format_paths(place.path, paths, place.revision, session.style)));
  return kExitOk;
}

Result<ExitStatus> run_tree(Session& session) {
  // For programs, a tree and a list of paths say the same.
  if (session.style.json) return run_find(session);
  TRY_ASSIGN(const Place place, find_place(session));
  TRY_ASSIGN(const auto paths, paths_below(session, place));
  TRY(write_output(format_tree(paths, session.style)));
  return kExitOk;
}

Result<ExitStatus> run_export(Session& session) {
  TRY_ASSIGN(const Place place, find_place(session));
  TRY_ASSIGN(OutputFile out, OutputFile::create(session.invocation.file));
  ArchiveWriter archive;
  TRY(out.write(archive.head(place.path, place.revision)));
  Result<> written;
  TRY(session.client.walk_each(place.glob, session.reading_at(place.revision),
                               [&](const File& file) {
                                 written = out.write(archive.file(file));
                                 return written.has_value();
                               }));
  TRY(written);
  TRY(out.write(archive.end()));
  TRY(out.finish());
  return kExitOk;
}

}  // namespace doozer::cli
