#ifndef JETMON_TESTS_LAB_V1_TELL_H_
#define JETMON_TESTS_LAB_V1_TELL_H_

#include <chrono>
#include <string>

#include "tests/lab/http_client.h"
#include "tests/lab/v1/rules.h"

namespace jetmon::lab {

// What v1 sends to its receiver, as JSON without a space.
std::string TellText(const V1Tell& tell, const std::string& token);

// v1 puts that text into the request as it is. Its HTTP library throws where one of the characters
// can't stand in a path, so that nobody is ever told: a space, a control character, or what has no
// place in Latin-1.
bool CanBeTold(const std::string& text);

// Sends the text to a receiver at `base` (only its host and port count), and waits for its answer.
// True if that is 200 and says "success":true.
bool SendTell(const HttpUrl& base, const std::string& source, const std::string& text,
              std::chrono::milliseconds limit);

}  // namespace jetmon::lab

#endif  // JETMON_TESTS_LAB_V1_TELL_H_
