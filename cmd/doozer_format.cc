#include "cmd/doozer_format.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/check.h"
#include "cmd/doozer_json.h"

namespace doozer::cli {
namespace {

constexpr std::string_view kBold = "\x1b[1m";
constexpr std::string_view kBlue = "\x1b[34;1m";
constexpr std::string_view kRed = "\x1b[31;1m";
constexpr std::string_view kPlain = "\x1b[0m";

std::string coloured(std::string_view text, std::string_view colour, const Style& style) {
  if (!style.colour) return std::string(text);
  return fmt::format("{}{}{}", colour, text, kPlain);
}

JsonObject stat_object(std::string_view key, std::string_view name, const Stat& stat) {
  JsonObject object;
  object.text(key, name);
  if (stat.kind == Stat::Kind::directory) {
    object.text("type", "directory").number("entries", stat.length);
  } else {
    object.text("type", "file").number("rev", stat.revision).number("len", stat.length);
  }
  return object;
}

std::string stat_words(const Stat& stat) {
  return stat.kind == Stat::Kind::directory ? fmt::format("d {}", stat.length)
                                            : fmt::format("{} {}", stat.revision, stat.length);
}

std::string join_json(const std::vector<std::string>& parts) {
  std::string out = "[";
  for (const std::string& part : parts) {
    if (out.size() > 1) out += ',';
    out += part;
  }
  return out + ']';
}

std::string_view last_name(std::string_view path) {
  return path == "/" ? path : path.substr(path.rfind('/') + 1);
}

/// How many names deep; "/" is 0.
size_t depth_of(std::string_view path) {
  return path == "/" ? 0 : static_cast<size_t>(std::ranges::count(path, '/'));
}

/// Orders paths so that a directory's content follows it at once: '/' before every other byte.
bool tree_less(const std::string& left, const std::string& right) {
  return std::ranges::lexicographical_compare(left, right, [](char a, char b) {
    const auto rank = [](char c) { return c == '/' ? -1 : int{static_cast<unsigned char>(c)}; };
    return rank(a) < rank(b);
  });
}

}  // namespace

std::string_view event_word(Event::Kind kind) {
  switch (kind) {
    case Event::Kind::set: return "set";
    case Event::Kind::del: return "del";
    case Event::Kind::nop: return "nop";
  }
  UNREACHABLE();
}

std::string format_event(const Event& event, const Style& style) {
  if (style.json) {
    JsonObject object;
    object.text("path", event.path).number("rev", event.position.revision);
    if (event.position.sub != 0 || event.more != 0) object.number("sub", event.position.sub);
    object.text("flag", event_word(event.kind));
    if (event.kind == Event::Kind::set) object.bytes(event.value);
    return object.str() + '\n';
  }
  const std::string head = fmt::format("{} {} {} {}", event.path, event.position.revision,
                                       event_word(event.kind), event.value.size());
  return fmt::format("{}\n{}\n", coloured(head, kBold, style), event.value);
}

std::string format_file(const File& file, const Style& style) {
  if (style.json) return format_get(file, style);
  const std::string head = fmt::format("{} {} {}", file.path, file.revision, file.value.size());
  return fmt::format("{}\n{}\n", coloured(head, kBold, style), file.value);
}

std::string format_get(const File& file, const Style& style) {
  if (!style.json) return file.value;
  return JsonObject().text("path", file.path).number("rev", file.revision).bytes(file.value).str() +
         '\n';
}

std::string format_stat(std::string_view path, const Stat& stat, const Style& style) {
  CHECK(stat.kind != Stat::Kind::missing);
  return (style.json ? stat_object("path", path, stat).str() : stat_words(stat)) + '\n';
}

std::string format_written(std::string_view path, int64_t revision, const Style& style) {
  if (!style.json) return fmt::format("{}\n", revision);
  return JsonObject().text("path", path).number("rev", revision).str() + '\n';
}

std::string format_names(std::string_view path, const Listing& listing, const Style& style) {
  if (style.json) {
    std::vector<std::string> names;
    for (const std::string& name : listing.names) names.push_back(json_string(name));
    JsonObject object;
    object.text("path", path).number("rev", listing.revision).raw("names", join_json(names));
    return object.str() + '\n';
  }
  std::string out;
  for (const std::string& name : listing.names) {
    out += name;
    out += '\n';
  }
  return out;
}

std::string format_long_names(std::string_view path, const std::vector<LongName>& names,
                              int64_t revision, const Style& style) {
  if (style.json) {
    std::vector<std::string> entries;
    for (const LongName& entry : names) {
      entries.push_back(stat_object("name", entry.name, entry.stat).str());
    }
    JsonObject object;
    object.text("path", path).number("rev", revision).raw("entries", join_json(entries));
    return object.str() + '\n';
  }
  size_t width = 0;
  for (const LongName& entry : names) width = std::max(width, stat_words(entry.stat).size());
  std::string out;
  for (const LongName& entry : names) {
    const bool directory = entry.stat.kind == Stat::Kind::directory;
    out += fmt::format("{:>{}}  {}\n", stat_words(entry.stat), width,
                       directory ? coloured(entry.name, kBlue, style) : entry.name);
  }
  return out;
}

std::vector<TreePath> tree_paths(std::string_view root, std::vector<std::string> files) {
  std::ranges::sort(files, tree_less);
  const auto below_root = [&](std::string_view path) {
    return root == "/" ? path.size() > 1 : path.size() > root.size();
  };
  std::vector<TreePath> paths{{std::string(root), true}};
  std::vector<std::string> open;  // the directories, below root, that the last file is in
  for (std::string& file : files) {
    if (!below_root(file)) {
      paths.front().directory = false;
      continue;
    }
    while (!open.empty() && !is_below(file, open.back())) open.pop_back();
    size_t from = (open.empty() ? (root == "/" ? 0 : root.size()) : open.back().size()) + 1;
    for (size_t slash = file.find('/', from); slash != std::string::npos;
         slash = file.find('/', from)) {
      open.push_back(file.substr(0, slash));
      paths.push_back({open.back(), true});
      from = slash + 1;
    }
    paths.push_back({std::move(file), false});
  }
  return paths;
}

std::string format_paths(std::string_view root, const std::vector<TreePath>& paths,
                         int64_t revision, const Style& style) {
  if (style.json) {
    std::vector<std::string> entries;
    for (const TreePath& entry : paths) {
      JsonObject object;
      object.text("path", entry.path).text("type", entry.directory ? "directory" : "file");
      entries.push_back(object.str());
    }
    JsonObject object;
    object.text("path", root).number("rev", revision).raw("paths", join_json(entries));
    return object.str() + '\n';
  }
  std::string out;
  for (const TreePath& entry : paths) {
    out += entry.path;
    out += '\n';
  }
  return out;
}

std::string format_tree(const std::vector<TreePath>& paths, const Style& style) {
  CHECK(!paths.empty());
  const size_t top = depth_of(paths.front().path);
  // Whether an entry is the last of its directory shows only further down: go from the end.
  std::vector<bool> more;  // by depth: a sibling follows
  std::vector<std::string> lines(paths.size());
  size_t directories = 0;
  for (size_t i = paths.size(); i-- > 1;) {
    const size_t depth = depth_of(paths[i].path) - top;
    directories += paths[i].directory ? 1 : 0;
    const bool last = more.size() <= depth || !more[depth];
    std::string line;
    for (size_t level = 1; level < depth; ++level) {
      line += more.size() > level && more[level] ? "│   " : "    ";
    }
    line += last ? "└── " : "├── ";
    const std::string_view name = last_name(paths[i].path);
    line += paths[i].directory ? coloured(name, kBlue, style) : std::string(name);
    lines[i] = std::move(line);
    more.resize(depth + 1);
    more[depth] = true;
  }
  lines[0] = coloured(paths.front().path, paths.front().directory ? kBlue : "", style);
  std::string out;
  for (const std::string& line : lines) out += line + '\n';
  const size_t files = paths.size() - 1 - directories;
  return out + fmt::format("\n{} director{}, {} file{}\n", directories,
                           directories == 1 ? "y" : "ies", files, files == 1 ? "" : "s");
}

std::string format_error(const Error& error, std::string_view hint, const Style& style) {
  if (style.json) {
    JsonObject inner;
    inner.text("code", code_name(error.code)).text("message", error.message);
    if (!hint.empty()) inner.text("hint", hint);
    return JsonObject().raw("error", inner.str()).str() + '\n';
  }
  std::string out = fmt::format("{} {}\n", coloured("doozer:", kRed, style), error.message);
  if (!hint.empty()) out += fmt::format("  {}\n", hint);
  return out;
}

bool is_below(std::string_view path, std::string_view root) {
  if (root == "/" || path == root) return true;
  return path.size() > root.size() && path.starts_with(root) && path[root.size()] == '/';
}

}  // namespace doozer::cli
