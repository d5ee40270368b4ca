// Text of a value to its member of Config, and back.
#include <algorithm>
#include <string>

#include "base/bytes.h"
#include "base/check.h"
#include "base/units.h"
#include "server/config_address.h"
#include "server/options_table.h"

namespace doozer::server {
namespace {

constexpr size_t kTextBytesMax = 4 * kKiB;
constexpr size_t kClusterBytesMax = 128;
constexpr size_t kListMax = 2 * kServersMax;
constexpr std::string_view kSecretKey = "sk=";

tl::unexpected<Error> bad(std::string message) {
  return fail(Code::bad_argument, std::move(message));
}

std::string number_text(OptionKind kind, uint64_t value) {
  if (kind == OptionKind::size) return format_size(value);
  if (kind == OptionKind::duration) return format_duration_us(value);
  return std::to_string(value);
}

Result<bool> parse_flag(std::string_view text) {
  for (const std::string_view yes : {"true", "on", "yes", "1"}) {
    if (text == yes) return true;
  }
  for (const std::string_view no : {"false", "off", "no", "0"}) {
    if (text == no) return false;
  }
  return bad("must be true or false");
}

Result<uint64_t> parse_number(const Option& option, std::string_view text) {
  uint64_t value = 0;
  if (option.kind == OptionKind::size) {
    const auto parsed = parse_size(text);
    if (!parsed) return bad("must be a number of bytes with a unit, such as 64KiB or 256MiB");
    value = *parsed;
  } else if (option.kind == OptionKind::duration) {
    const auto parsed = parse_duration_us(text);
    if (!parsed) return bad("must be a number with a unit, such as 500ms, 60s or 5m");
    value = *parsed;
  } else {
    const auto parsed = parse_int(text);
    if (!parsed) {
      const bool digits = !text.empty() && text.find_first_not_of("0123456789") == text.npos;
      return bad(digits ? "must be at most " + number_text(option.kind, option.most)
                        : "must be a whole number");
    }
    if (*parsed < 0) return bad("must be at least " + number_text(option.kind, option.least));
    value = static_cast<uint64_t>(*parsed);
  }
  if (value < option.least)
    return bad("must be at least " + number_text(option.kind, option.least));
  if (value > option.most) return bad("must be at most " + number_text(option.kind, option.most));
  return value;
}

// One name of a path, of the characters that every server and shell agrees on.
Result<void> check_name(std::string_view text) {
  const auto good = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '-' || c == '_';
  };
  if (text.size() > kClusterBytesMax) return bad("must be at most 128 bytes");
  if (!std::all_of(text.begin(), text.end(), good)) {
    return bad("must be made of letters, digits, '.', '-' and '_'");
  }
  return {};
}

Result<void> check_text(const Option& option, std::string_view text) {
  if (text.empty()) return bad("must not be empty");
  if (text.size() > kTextBytesMax) return bad("must be at most 4KiB long");
  if (text.find('\0') != std::string_view::npos) return bad("must not contain a zero byte");
  if (option.kind == OptionKind::name) return check_name(text);
  if (option.kind == OptionKind::uri && !text.starts_with("doozer:?")) {
    return bad("must be like doozer:?ca=HOST:PORT&cn=NAME");
  }
  if (option.kind != OptionKind::address) return {};
  TRY_ASSIGN(const HostPort address, split_address(text));
  const bool listens = option.name == "listen" || option.name == "peer-listen";
  if (!listens && address.port == 0) return bad("the port must be from 1 to 65535");
  if (!listens && is_wildcard(text)) return bad("must name one host, not every interface");
  return {};
}

size_t choice_index(const Option& option, std::string_view text) {
  size_t index = 0;
  for (std::string_view rest = option.choices; !rest.empty(); ++index) {
    const size_t end = std::min(rest.find('|'), rest.size());
    if (rest.substr(0, end) == text) return index;
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return std::string_view::npos;
}

std::string choice_name(const Option& option, size_t index) {
  std::string_view rest = option.choices;
  for (; index > 0; --index) rest.remove_prefix(std::min(rest.find('|') + 1, rest.size()));
  return std::string(rest.substr(0, rest.find('|')));
}

std::string toml_string(std::string_view text) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte < 0x20 || byte == 0x7F) {
      out += "\\u00";
      out += kHex[byte >> 4U];
      out += kHex[byte & 0xFU];
    } else {
      out += c;
    }
  }
  return out + "\"";
}

struct Assigner {
  const Option& option;
  std::string_view text;
  Config& config;

  Result<void> operator()(std::monostate) const { return check_text(option, text); }
  Result<void> operator()(bool Config::* member) const {
    TRY_ASSIGN(config.*member, parse_flag(text));
    return {};
  }
  Result<void> operator()(uint64_t Config::* member) const {
    TRY_ASSIGN(config.*member, parse_number(option, text));
    return {};
  }
  Result<void> operator()(std::string Config::* member) const {
    TRY(check_text(option, text));
    config.*member = std::string(text);
    return {};
  }
  Result<void> operator()(std::vector<std::string> Config::* member) const {
    auto& list = config.*member;
    // The environment has room for one text: what repeats stands there between commas.
    for (std::string_view rest = text;;) {
      const size_t end = std::min(rest.find(','), rest.size());
      const std::string_view one = rest.substr(0, end);
      if (const auto good = check_text(option, one); !good) {
        return bad((one == text ? "" : quote(one) + ": ") + good.error().message);
      }
      if (list.size() == kListMax)
        return bad("must come at most " + std::to_string(kListMax) + " times");
      list.emplace_back(one);
      if (end == rest.size()) return {};
      rest.remove_prefix(end + 1);
    }
  }
  template <typename Choice>
    requires std::is_enum_v<Choice>
  Result<void> operator()(Choice Config::* member) const {
    const size_t index = choice_index(option, text);
    if (index == std::string_view::npos) {
      std::string names(option.choices);
      std::replace(names.begin(), names.end(), '|', ' ');
      return bad("must be one of: " + names);
    }
    config.*member = static_cast<Choice>(index);
    return {};
  }
};

struct Printer {
  const Option& option;
  const Config& config;

  std::string operator()(std::monostate) const { return ""; }
  std::string operator()(bool Config::* member) const { return config.*member ? "true" : "false"; }
  std::string operator()(uint64_t Config::* member) const {
    const std::string text = number_text(option.kind, config.*member);
    return option.kind == OptionKind::count ? text : "\"" + text + "\"";
  }
  std::string operator()(std::string Config::* member) const {
    return toml_string(shown_value(option, config.*member));
  }
  std::string operator()(std::vector<std::string> Config::* member) const {
    std::string out = "[";
    for (const std::string& value : config.*member) {
      out += (out.size() > 1 ? ", " : "") + toml_string(shown_value(option, value));
    }
    return out + "]";
  }
  template <typename Choice>
    requires std::is_enum_v<Choice>
  std::string operator()(Choice Config::* member) const {
    return toml_string(choice_name(option, static_cast<size_t>(config.*member)));
  }
};

}  // namespace

static_assert(static_cast<int>(LogFormat::automatic) == 0 && static_cast<int>(LogFormat::text) == 2,
              "the order of log-format's choices");
static_assert(static_cast<int>(LogLevel::debug) == 0 && static_cast<int>(LogLevel::error) == 3,
              "the order of log-level's choices");

Result<void> assign(const Option& option, std::string_view text, Config& config) {
  if (option.kind == OptionKind::flag && std::holds_alternative<std::monostate>(option.target)) {
    TRY(parse_flag(text));
    return {};
  }
  return std::visit(Assigner{option, text, config}, option.target);
}

void clear_list(const Option& option, Config& config) {
  if (const auto* list = std::get_if<std::vector<std::string> Config::*>(&option.target)) {
    (config.**list).clear();
  }
}

std::string shown_value(const Option& option, std::string_view text) {
  std::string out(text);
  if (option.kind != OptionKind::uri) return out;
  size_t from = 0;
  while ((from = out.find(kSecretKey, from)) != std::string::npos) {
    const size_t start = from + kSecretKey.size();
    const bool is_key = from == 0 || out[from - 1] == '&' || out[from - 1] == '?';
    const size_t end = std::min(out.find('&', start), out.size());
    if (is_key) out.replace(start, end - start, "***");
    from = start;
  }
  return out;
}

std::string value_text(const Option& option, const Config& config) {
  return std::visit(Printer{option, config}, option.target);
}

std::string default_text(const Option& option) {
  std::string text = value_text(option, Config{});
  if (text == "[]" || text == "false" || text == "\"\"") return "";
  if (text.starts_with('"')) text = text.substr(1, text.size() - 2);
  return text;
}

}  // namespace doozer::server
