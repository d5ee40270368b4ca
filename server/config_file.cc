// The TOML file. The one place that includes toml++, a header of many seconds.
#define TOML_EXCEPTIONS 0
#define TOML_HEADER_ONLY 1
#define TOML_ENABLE_FORMATTERS 0
// Two faults of version 3.3, found by config_fuzz. It asserts where the bytes of a file reach
// (`[+]`) although it reports the same as a parse error just after; and its tables of characters
// declare some that do come, such as U+FF7D outside of a string, to be impossible.
#define TOML_ASSERT(expression) static_cast<void>(0)
#include <toml++/impl/forward_declarations.h>
#undef TOML_UNREACHABLE
#define TOML_UNREACHABLE return false
#include <toml++/impl/unicode.h>
#undef TOML_UNREACHABLE
#define TOML_UNREACHABLE __builtin_unreachable()

#include <toml++/toml.h>

#include <charconv>

#include "base/bytes.h"
#include "base/check.h"
#include "server/options_table.h"

namespace doozer::server {
namespace {

std::string at_line(std::string_view path, const toml::source_region& region) {
  return std::string(path) + ":" + std::to_string(region.begin.line);
}

std::string_view wanted(const Option& option) {
  if (std::holds_alternative<std::vector<std::string> Config::*>(option.target)) {
    return "an array of strings";
  }
  switch (option.kind) {
    case OptionKind::flag: return "true or false, without quotes";
    case OptionKind::count: return "a whole number, without quotes";
    case OptionKind::size: return "a string with a unit, such as \"256MiB\", or a number of bytes";
    case OptionKind::duration:
      return "a string with a unit, such as \"60s\", or a number of seconds";
    case OptionKind::text:
    case OptionKind::address:
    case OptionKind::uri:
    case OptionKind::name:
    case OptionKind::choice: return "a string";
  }
  UNREACHABLE();
}

// What stands there, for messages.
std::string shown(const toml::node& node) {
  if (const auto* flag = node.as_boolean()) return flag->get() ? "true" : "false";
  if (const auto* integer = node.as_integer()) return std::to_string(integer->get());
  if (const auto* real = node.as_floating_point()) {
    char text[32];
    const auto end = std::to_chars(std::begin(text), std::end(text), real->get()).ptr;
    std::string out(std::begin(text), end);
    return out.find_first_of(".enf") == out.npos ? out + ".0" : out;
  }
  if (const auto* text = node.as_string()) return quote(text->get());
  if (node.is_array()) return "an array";
  return node.is_table() ? "a table" : "a date or time";
}

// The value as a flag would give it; nullopt if the type does not fit the option.
std::optional<std::string> scalar_text(const Option& option, const toml::node& node) {
  const bool number = option.kind == OptionKind::count || option.kind == OptionKind::size ||
                      option.kind == OptionKind::duration;
  // The original took seconds and addresses here; whatever it is, a warning is all that comes of
  // it.
  if (option.without_effect && node.is_value()) return shown(node);
  if (const auto* flag = node.as_boolean()) {
    if (option.kind != OptionKind::flag) return std::nullopt;
    return flag->get() ? "true" : "false";
  }
  if (const auto* integer = node.as_integer()) {
    if (!number) return std::nullopt;
    return std::to_string(integer->get());
  }
  if (const auto* text = node.as_string()) {
    if (option.kind == OptionKind::flag || option.kind == OptionKind::count) return std::nullopt;
    return text->get();
  }
  return std::nullopt;
}

}  // namespace

void read_config_file(ConfigBuilder& builder, std::string_view path, std::string_view content) {
  const toml::parse_result parsed = toml::parse(content);
  if (!parsed) {
    builder.problem(at_line(path, parsed.error().source()) + ": " +
                    std::string(parsed.error().description()));
    return;
  }
  for (const auto& [key, node] : parsed.table()) {
    const ConfigSource source{.kind = ConfigSource::Kind::file,
                              .name = at_line(path, key.source())};
    const auto index = find_option(key.str());
    if (!index) {
      builder.set(source, key.str(), "");  // which tells that it is unknown
      continue;
    }
    const Option& option = options()[*index];
    const bool list = std::holds_alternative<std::vector<std::string> Config::*>(option.target);
    const toml::array* const array = node.as_array();
    std::string unfit;  // what is of a wrong type
    const auto take = [&](const toml::node& one) {
      const auto text = scalar_text(option, one);
      if (text) {
        builder.set(source, option.name, *text);
      } else if (unfit.empty()) {
        unfit = shown(one);
      }
    };
    if (list != (array != nullptr)) {
      unfit = shown(node);
    } else if (list) {
      for (const toml::node& item : *array) take(item);
    } else {
      take(node);
    }
    if (!unfit.empty()) {
      builder.problem(source.name + ": " + std::string(option.name) + ": must be " +
                      std::string(wanted(option)) + ", not " + unfit);
    }
  }
}

}  // namespace doozer::server
