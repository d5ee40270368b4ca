// The tables of the protocol: verbs, errors, and which Code is which err_code.

#include "base/check.h"
#include "wire/doozer.h"

namespace doozer::wire {
namespace {

constexpr std::string_view kPermissionDenied = "permission denied";
constexpr std::string_view kBadGlobPrefix = "invalid glob pattern: ";

struct ErrorRow {
  Code code;
  ErrCode err_code;
  std::string_view name;
};

constexpr ErrorRow kErrorRows[] = {
    {Code::unknown_verb, ErrCode::unknown_verb, "UNKNOWN_VERB"},
    {Code::read_only, ErrCode::read_only, "READONLY"},
    {Code::too_late, ErrCode::too_late, "TOO_LATE"},
    {Code::revision_mismatch, ErrCode::rev_mismatch, "REV_MISMATCH"},
    {Code::bad_path, ErrCode::bad_path, "BAD_PATH"},
    {Code::missing_argument, ErrCode::missing_arg, "MISSING_ARG"},
    {Code::range, ErrCode::range, "RANGE"},
    {Code::not_directory, ErrCode::not_dir, "NOTDIR"},
    {Code::is_directory, ErrCode::is_dir, "ISDIR"},
    {Code::not_found, ErrCode::no_ent, "NOENT"},
    {Code::other, ErrCode::tag_in_use, "TAG_IN_USE"},
    {Code::other, ErrCode::other, "OTHER"},
};

/// Codes whose names open the detail of an OTHER.
constexpr Code kNamedInDetail[] = {
    Code::bad_argument, Code::too_large, Code::busy,      Code::no_space,
    Code::io_error,     Code::corrupt,   Code::conflict,  Code::unsupported,
    Code::refused,      Code::closed,    Code::timed_out, Code::unknown_outcome,
};

bool is_named_in_detail(Code code) {
  for (const Code named : kNamedInDetail) {
    if (named == code) return true;
  }
  return false;
}

constexpr std::string_view kNameEnd = ": ";

Error error_of_other(std::string_view detail) {
  if (detail == kPermissionDenied) return {Code::permission_denied, std::string(detail)};
  if (detail.starts_with(kBadGlobPrefix)) return {Code::bad_glob, std::string(detail)};
  for (const Code code : kNamedInDetail) {
    const std::string_view name = code_name(code);
    if (detail.starts_with(name) && detail.substr(name.size()).starts_with(kNameEnd)) {
      return {code, std::string(detail.substr(name.size() + kNameEnd.size()))};
    }
  }
  return {Code::other, std::string(detail)};
}

}  // namespace

std::string_view verb_name(int32_t verb) {
  switch (static_cast<Verb>(verb)) {
    case Verb::get: return "GET";
    case Verb::set: return "SET";
    case Verb::del: return "DEL";
    case Verb::rev: return "REV";
    case Verb::wait: return "WAIT";
    case Verb::nop: return "NOP";
    case Verb::walk: return "WALK";
    case Verb::getdir: return "GETDIR";
    case Verb::stat: return "STAT";
    case Verb::self: return "SELF";
    case Verb::status: return "STATUS";
    case Verb::access: return "ACCESS";
  }
  return {};
}

std::string_view err_code_name(int32_t err_code) {
  for (const ErrorRow& row : kErrorRows) {
    if (static_cast<int32_t>(row.err_code) == err_code) return row.name;
  }
  return {};
}

ErrCode err_code_of(Code code) {
  if (code == Code::other) return ErrCode::other;
  for (const ErrorRow& row : kErrorRows) {
    if (row.code == code) return row.err_code;
  }
  return ErrCode::other;
}

std::string err_detail_of(const Error& error) {
  if (error.code == Code::permission_denied) return std::string(kPermissionDenied);
  if (!is_named_in_detail(error.code)) return error.message;
  std::string detail(code_name(error.code));
  detail += kNameEnd;
  detail += error.message;
  return detail;
}

Error error_of(const ResponseView& response) {
  CHECK(response.err_code.has_value());
  const std::string_view detail = response.err_detail.value_or(std::string_view());
  if (response.outcome == kOutcomeUnknown) {
    Error error = error_of_other(detail);
    error.code = Code::unknown_outcome;
    return error;
  }
  if (*response.err_code == static_cast<int32_t>(ErrCode::other)) return error_of_other(detail);
  for (const ErrorRow& row : kErrorRows) {
    if (static_cast<int32_t>(row.err_code) == *response.err_code) {
      return {row.code, std::string(detail.empty() ? row.name : detail)};
    }
  }
  return {Code::other, "error " + std::to_string(*response.err_code) + ": " + std::string(detail)};
}

}  // namespace doozer::wire
