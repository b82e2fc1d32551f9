// SPDX-License-Identifier: BSL-1.0
//
// A function on AWS Lambda: it greets whom the event names.

#include <loopsafe/lambda.hpp>
#include <loopsafe/lambda/json.hpp>

#include <boost/json/src.hpp>

#include <map>
#include <string>

namespace asio = boost::asio;
namespace lambda = loopsafe::lambda;

asio::awaitable<std::string> greet(std::map<std::string, std::string> event)
{
    co_return "Hello, " + event.at("name") + "!";
}

int main()
{
    return lambda::serve(lambda::json(greet));
}
