// What the commands print, as text like the original's or as JSON. Pure: strings in, strings out.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "cmd/doozer_table.h"
#include "doozer/types.h"

namespace doozer::cli {

/// How results are written.
struct Style {
  bool json = false;
  bool colour = false;  ///< text only
};

/// "set", "del" or "nop".
std::string_view event_word(Event::Kind kind);

/// PATH REV WORD LEN, newline, the value, newline.
std::string format_event(const Event& event, const Style& style);
/// PATH REV LEN, newline, the value, newline.
std::string format_file(const File& file, const Style& style);
/// The value alone; JSON bears path and revision too.
std::string format_get(const File& file, const Style& style);
/// "REV LEN" or "d N". REQUIRES: the stat is not of a missing path.
std::string format_stat(std::string_view path, const Stat& stat, const Style& style);
/// REV of a write to `path`.
std::string format_written(std::string_view path, int64_t revision, const Style& style);

/// One name of a long listing, with what stat told of it.
struct LongName {
  std::string name;
  Stat stat;
};
std::string format_names(std::string_view path, const Listing& listing, const Style& style);
std::string format_long_names(std::string_view path, const std::vector<LongName>& names,
                              int64_t revision, const Style& style);

/// A path that is `root` or below it, and what it is.
struct TreePath {
  std::string path;
  bool directory = false;
};

/// All paths of a tree, each directory before what is in it, siblings in byte order; of the files
/// below `root`, which is itself a directory. A file at `root` is given alone.
std::vector<TreePath> tree_paths(std::string_view root, std::vector<std::string> files);
/// One path a line.
std::string format_paths(std::string_view root, const std::vector<TreePath>& paths,
                         int64_t revision, const Style& style);
/// Drawn with lines, and how many there are below it.
std::string format_tree(const std::vector<TreePath>& paths, const Style& style);

/// `doozer: message`, and what to do next. With JSON: one object.
std::string format_error(const Error& error, std::string_view hint, const Style& style);

/// What a failed command exits with. `connected` is whether a server was ever reached.
ExitStatus exit_status(const Error& error, bool connected);
/// What the user may do about it; empty if nothing sensible can be said.
std::string hint_for(const CommandRow& command, const Error& error, bool connected);
/// The library's text `VERB "PATH": path "PATH": why` in the words of who typed the command, whose
/// first argument PATH is: `COMMAND: path "PATH": why`. Other texts stay.
Error told_of(const CommandRow& command, std::string_view argument, Error error);

/// True if `path` is `root` or below it.
bool is_below(std::string_view path, std::string_view root);

}  // namespace doozer::cli
