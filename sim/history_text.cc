#include "sim/history_text.h"

#include <array>
#include <charconv>
#include <limits>
#include <utility>

#include "base/bytes.h"
#include "base/check.h"

namespace doozer::sim {
namespace {

constexpr std::string_view kHexDigits = "0123456789ABCDEF";

void append_escaped(std::string_view raw, std::string& out) {
  for (const char c : raw) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte > ' ' && byte < 0x7F && c != '%' && c != '@' && c != '=') {
      out.push_back(c);
    } else {
      out.push_back('%');
      out.push_back(kHexDigits[byte >> 4U]);
      out.push_back(kHexDigits[byte & 15U]);
    }
  }
}

Result<std::string> unescape(std::string_view text) {
  std::string raw;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      raw.push_back(text[i]);
      continue;
    }
    const size_t high = i + 2 < text.size() ? kHexDigits.find(text[i + 1]) : std::string::npos;
    const size_t low = i + 2 < text.size() ? kHexDigits.find(text[i + 2]) : std::string::npos;
    if (high == std::string::npos || low == std::string::npos) {
      return fail(Code::bad_argument, quote(text) + ": a % without two hexadecimal digits");
    }
    raw.push_back(static_cast<char>(high * 16 + low));
    i += 2;
  }
  return raw;
}

// Each of these structs has one list of its fields, which both directions use: `field` is either
// the writer's or the reader's.
template <typename Field, typename T>
void fields_of(Field& field, T& op)
  requires std::is_same_v<std::remove_const_t<T>, Op>
{
  static const Op kDefault;
  field("kind", op.kind, Action::nop);
  field("client", op.client, kDefault.client);
  field("session", op.session, kDefault.session);
  field("server", op.server, kDefault.server);
  field("path", op.path, kDefault.path);
  field("value", op.value, kDefault.value);
  field("length", op.length, kDefault.length);
  field("cas", op.cas, kDefault.cas);
  field("linearizable", op.linearizable, kDefault.linearizable);
  field("min_rev", op.min_rev, kDefault.min_rev);
  field("at_rev", op.at_rev, kDefault.at_rev);
  field("offset", op.offset, kDefault.offset);
  field("invoked", op.invoked_us, kDefault.invoked_us);
  field("completed", op.completed_us, kDefault.completed_us);
  field("outcome", op.outcome, kDefault.outcome);
  field("code", op.code, kDefault.code);
  field("revision", op.revision, kDefault.revision);
  field("store_rev", op.store_rev, kDefault.store_rev);
  field("listed", op.listed, kDefault.listed);
}

template <typename Field, typename T>
void fields_of(Field& field, T& stream)
  requires std::is_same_v<std::remove_const_t<T>, Stream>
{
  field("client", stream.client, uint64_t{0});
  field("glob", stream.glob, std::string());
  field("from", stream.from, int64_t{1});
}

template <typename Field, typename T>
void fields_of(Field& field, T& note)
  requires std::is_same_v<std::remove_const_t<T>, WatchNote>
{
  static const WatchNote kDefault;
  field("kind", note.kind, kDefault.kind);
  field("at", note.at_us, kDefault.at_us);
  field("revision", note.revision, kDefault.revision);
  field("sub", note.sub, kDefault.sub);
  field("change", note.change, kDefault.change);
  field("path", note.path, kDefault.path);
  field("value", note.value, kDefault.value);
  field("server", note.server, kDefault.server);
}

template <typename Field, typename T>
void fields_of(Field& field, T& note)
  requires std::is_same_v<std::remove_const_t<T>, ReplicaNote>
{
  field("kind", note.kind, ReplicaNote::Kind::entry);
  field("server", note.server, std::string());
  field("incarnation", note.incarnation, uint64_t{0});
  field("index", note.index, uint64_t{0});
  field("term", note.term, uint64_t{0});
  field("command", note.command, uint64_t{0});
  field("chain", note.chain, uint64_t{0});
  field("state", note.state, uint64_t{0});
}

// The words of each enumeration, by number.
constexpr std::array<std::string_view, 8> kActions = {"set",  "del",  "nop",    "get",
                                                      "stat", "walk", "getdir", "rev"};
constexpr std::array<std::string_view, 5> kOutcomes = {"open", "ok", "refused", "unknown",
                                                       "failed"};
constexpr std::array<std::string_view, 4> kWatchKinds = {"event", "gap", "resumed", "through"};
constexpr std::array<std::string_view, 3> kChanges = {"nop", "set", "del"};
constexpr std::array<std::string_view, 4> kReplicaKinds = {"started", "entry", "snapshot",
                                                           "digest"};
constexpr auto kCodes = [] {
  std::array<Code, static_cast<size_t>(Code::other) + 1> codes{};
  for (size_t i = 0; i < codes.size(); ++i) codes[i] = static_cast<Code>(i);
  return codes;
}();

std::string_view word(Action kind) { return kActions[static_cast<size_t>(kind)]; }
std::string_view word(Outcome outcome) { return kOutcomes[static_cast<size_t>(outcome)]; }
std::string_view word(WatchNote::Kind kind) { return kWatchKinds[static_cast<size_t>(kind)]; }
std::string_view word(WatchNote::Change change) { return kChanges[static_cast<size_t>(change)]; }
std::string_view word(ReplicaNote::Kind kind) { return kReplicaKinds[static_cast<size_t>(kind)]; }
std::string_view word(Code code) { return code_name(code); }

template <typename E, size_t N>
bool find_word(std::string_view text, const std::array<std::string_view, N>& words, E& out) {
  for (size_t i = 0; i < N; ++i) {
    if (words[i] != text) continue;
    out = static_cast<E>(i);
    return true;
  }
  return false;
}
bool parse_word(std::string_view text, Action& out) { return find_word(text, kActions, out); }
bool parse_word(std::string_view text, Outcome& out) { return find_word(text, kOutcomes, out); }
bool parse_word(std::string_view text, WatchNote::Kind& out) {
  return find_word(text, kWatchKinds, out);
}
bool parse_word(std::string_view text, WatchNote::Change& out) {
  return find_word(text, kChanges, out);
}
bool parse_word(std::string_view text, ReplicaNote::Kind& out) {
  return find_word(text, kReplicaKinds, out);
}
bool parse_word(std::string_view text, Code& out) {
  for (const Code code : kCodes) {
    if (code_name(code) != text) continue;
    out = code;
    return true;
  }
  return false;
}

class Writer {
 public:
  explicit Writer(std::string& out) : out_(out) {}
  template <typename T>
  void operator()(std::string_view name, const T& value, const T& otherwise) {
    if (value == otherwise) return;
    if constexpr (std::is_same_v<T, std::vector<Listed>>) {
      for (const Listed& entry : value) {
        begin(name);
        append_escaped(entry.name, out_);
        out_ += "@" + std::to_string(entry.revision) + "=";
        append_escaped(entry.value, out_);
      }
    } else {
      begin(name);
      if constexpr (std::is_same_v<T, std::string>) {
        append_escaped(value, out_);
      } else if constexpr (std::is_enum_v<T>) {
        out_ += word(value);
      } else {
        out_ += std::to_string(value);
      }
    }
  }

 private:
  void begin(std::string_view name) {
    out_.push_back(' ');
    out_ += name;
    out_.push_back('=');
  }
  std::string& out_;
};

template <typename T>
bool parse_number(std::string_view text, T& out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc() && end == text.data() + text.size();
}

/// `NAME@REVISION=VALUE`.
bool parse_listed(std::string_view text, std::vector<Listed>& out) {
  const size_t at = text.find('@');
  const size_t equals = text.find('=', at == std::string_view::npos ? text.size() : at);
  if (equals == std::string_view::npos) return false;
  Listed entry;
  auto name = unescape(text.substr(0, at));
  auto value = unescape(text.substr(equals + 1));
  if (!name || !value || !parse_number(text.substr(at + 1, equals - at - 1), entry.revision)) {
    return false;
  }
  entry.name = std::move(*name);
  entry.value = std::move(*value);
  out.push_back(std::move(entry));
  return true;
}

/// Tries one `name=value` of a line against every field of a struct.
class Reader {
 public:
  Reader(std::string_view name, std::string_view text) : name_(name), text_(text) {}
  template <typename T>
  void operator()(std::string_view name, T& value, const T& /*otherwise*/) {
    if (name != name_) return;
    known_ = true;
    if constexpr (std::is_same_v<T, std::vector<Listed>>) {
      good_ = parse_listed(text_, value);
    } else if constexpr (std::is_same_v<T, std::string>) {
      auto raw = unescape(text_);
      good_ = raw.has_value();
      if (good_) value = std::move(*raw);
    } else if constexpr (std::is_enum_v<T>) {
      good_ = parse_word(text_, value);
    } else if constexpr (std::is_same_v<T, bool>) {
      good_ = text_ == "0" || text_ == "1";
      value = text_ == "1";
    } else {
      good_ = parse_number(text_, value);
    }
  }
  Result<> result() const {
    if (!known_) return fail(Code::bad_argument, "field " + quote(name_) + ": unknown here");
    if (!good_) {
      return fail(Code::bad_argument, "field " + quote(name_) + ": bad value " + quote(text_));
    }
    return {};
  }

 private:
  std::string_view name_;
  std::string_view text_;
  bool known_ = false;
  bool good_ = false;
};

std::string_view next_word(std::string_view& rest, char separator) {
  const size_t end = rest.find(separator);
  const std::string_view found = rest.substr(0, end);
  rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
  return found;
}

template <typename T>
Result<> parse_fields(std::string_view rest, T& out) {
  while (!rest.empty()) {
    std::string_view text = next_word(rest, ' ');
    if (text.empty()) continue;
    const std::string_view name = next_word(text, '=');
    Reader reader(name, text);
    fields_of(reader, out);
    TRY(reader.result());
  }
  return {};
}

/// Takes `name=NUMBER` off the front.
Result<size_t> take_number(std::string_view name, std::string_view& rest) {
  std::string_view text = next_word(rest, ' ');
  size_t number = 0;
  if (next_word(text, '=') != name || !parse_number(text, number)) {
    return fail(Code::bad_argument, "the first field must be " + std::string(name) + "=NUMBER");
  }
  return number;
}

Result<> parse_line(std::string_view line, History& history) {
  const std::string_view what = next_word(line, ' ');
  if (what == "op") return parse_fields(line, history.ops.emplace_back());
  if (what == "replica") return parse_fields(line, history.replicas.emplace_back());
  if (what == "watch") {
    TRY_ASSIGN(const size_t id, take_number("id", line));
    if (id != history.streams.size()) {
      return fail(Code::bad_argument, "watches are numbered from 0 without gaps");
    }
    return parse_fields(line, history.streams.emplace_back());
  }
  if (what == "note") {
    TRY_ASSIGN(const size_t id, take_number("watch", line));
    if (id >= history.streams.size()) {
      return fail(Code::bad_argument, "no watch has the id " + std::to_string(id));
    }
    return parse_fields(line, history.streams[id].notes.emplace_back());
  }
  return fail(Code::bad_argument,
              "a line begins with op, watch, note or replica, not " + quote(what));
}

}  // namespace

std::string to_text(const History& history) {
  std::string out;
  Writer writer(out);
  for (const Op& op : history.ops) {
    out += "op";
    fields_of(writer, op);
    out += "\n";
  }
  for (size_t id = 0; id < history.streams.size(); ++id) {
    out += "watch id=" + std::to_string(id);
    fields_of(writer, history.streams[id]);
    out += "\n";
    for (const WatchNote& note : history.streams[id].notes) {
      out += "note watch=" + std::to_string(id);
      fields_of(writer, note);
      out += "\n";
    }
  }
  for (const ReplicaNote& note : history.replicas) {
    out += "replica";
    fields_of(writer, note);
    out += "\n";
  }
  return out;
}

Result<History> parse_history(std::string_view text) {
  History history;
  for (size_t number = 1; !text.empty(); ++number) {
    const std::string_view line = next_word(text, '\n');
    if (line.empty() || line.front() == '#') continue;
    if (Result<> parsed = parse_line(line, history); !parsed) {
      return fail(with_context(std::move(parsed).error(), "line " + std::to_string(number)));
    }
  }
  return history;
}

}  // namespace doozer::sim
