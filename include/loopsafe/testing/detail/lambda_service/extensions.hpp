// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TESTING_DETAIL_LAMBDA_SERVICE_EXTENSIONS_HPP
#define LOOPSAFE_TESTING_DETAIL_LAMBDA_SERVICE_EXTENSIONS_HPP

#include <loopsafe/testing/detail/lambda_service/checks.hpp>
#include <loopsafe/testing/detail/lambda_service/session.hpp>
#include <loopsafe/testing/detail/lambda_service/unique_id.hpp>

#include <algorithm>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace loopsafe::testing::detail {

// The extensions of one execution environment, and what they are told.
class extension_list {
    using kind = lambda_violation::kind;

public:
    extension_list(std::vector<std::string> external, request_checks checks)
        : external_(std::move(external)), checks_(checks)
    {
    }

    bool empty() const noexcept { return all_.empty(); }

    // Whether each of them waits for an event. Invocations begin only then.
    bool ready() const
    {
        return std::all_of(all_.begin(), all_.end(),
                           [](const extension& e) { return e.waiting != nullptr; });
    }

    void forget()
    {
        for (const auto& each : std::exchange(all_, {})) {
            if (each.waiting != nullptr)
                each.waiting->reset();
        }
    }

    void enter(session& from, bool closed, const std::string& function_name,
               const std::optional<fault>& wrong)
    {
        const auto& request = from.request();
        const auto name = request.field_text("Lambda-Extension-Name");
        const auto events = json_strings(request.body, "events");
        if (name.empty())
            return refuse(from, "Extension.InvalidExtensionName", "Empty extension name");
        if (!is_json(request.body) || !events)
            return refuse(from, "InvalidRequestFormat", "the body is no JSON with events");
        const bool external =
            std::find(external_.begin(), external_.end(), name) != external_.end();
        for (const auto& each : *events) {
            if (each == "SHUTDOWN" && !external)
                return refuse(from, "Extension.InvalidEventType",
                              each + ": ShutdownEventNotSupportedForInternalExtension");
            if (each != "INVOKE" && each != "SHUTDOWN")
                return refuse(from, "Extension.InvalidEventType", each + ": ErrorInvalidEventType");
        }
        if (closed)
            return refuse(from, "Extension.RegistrationClosed",
                          "Extension registration closed already");
        if (std::any_of(all_.begin(), all_.end(),
                        [&](const extension& e) { return e.name == name; }))
            return refuse(from, "Extension.InvalidExtensionState",
                          "Extension with this name already registered");
        all_.push_back({name, unique_id(), *events, nullptr, {}});
        auto answer = json_answer(200, "{\"functionName\":" + json_quoted(function_name) +
                                           ",\"functionVersion\":\"$LATEST\",\"handler\":"
                                           "\"bootstrap\"}\n");
        answer.fields.emplace_back("Lambda-Extension-Identifier", all_.back().id);
        from.answer(std::move(answer), wrong);
    }

    void next(session& from, const std::optional<fault>& wrong)
    {
        auto* const who = find(from);
        if (who == nullptr)
            return;
        if (who->waiting != nullptr)
            return refuse(from, "Extension.InvalidExtensionState",
                          "State transition from Ready to Ready failed for extension " + who->id +
                              ". Error: State transition is not allowed");
        who->waiting = from.shared_from_this();
        who->wrong = wrong;
    }

    // Of its start or end.
    void error(session& from, const std::optional<fault>& wrong)
    {
        const auto* const who = find(from);
        if (who == nullptr)
            return;
        if (!find_field(from.request().fields, "Lambda-Extension-Function-Error-Type"))
            return refuse(from, "Extension.MissingHeader",
                          "Lambda-Extension-Function-Error-Type not found");
        errors.push_back(who->name + ": " +
                         from.request().field_text("Lambda-Extension-Function-Error-Type"));
        from.answer(accepted(), wrong);
    }

    void lost(const session& from)
    {
        for (auto& each : all_) {
            if (each.waiting.get() == &from)
                each.waiting = nullptr;
        }
    }

    // Tells those who asked for it. `rest` is the JSON behind the name of the event.
    void tell(std::string_view event, const std::string& rest)
    {
        for (auto& each : all_) {
            const auto& wanted = each.events;
            if (std::find(wanted.begin(), wanted.end(), event) == wanted.end() ||
                each.waiting == nullptr)
                continue;
            auto answer = json_answer(200, "{\"eventType\":" + json_quoted(event) + rest + "}");
            answer.fields.emplace_back("Lambda-Extension-Event-Identifier", unique_id());
            std::exchange(each.waiting, nullptr)->answer(std::move(answer), each.wrong);
        }
    }

    std::vector<std::string> errors;

private:
    struct extension {
        std::string name;
        std::string id;
        std::vector<std::string> events;
        std::shared_ptr<session> waiting;
        std::optional<fault> wrong;
    };

    void refuse(session& from, std::string_view type, const std::string& why)
    {
        checks_.add(kind::extension,
                    from.request().method + " " + from.request().target + " is refused: " + why);
        from.answer(refusal(403, type, why));
    }

    extension* find(session& from)
    {
        const auto id = from.request().field_text("Lambda-Extension-Identifier");
        const auto found =
            std::find_if(all_.begin(), all_.end(), [&](const extension& e) { return e.id == id; });
        if (found != all_.end())
            return &*found;
        if (id.empty())
            refuse(from, "Extension.MissingExtensionIdentifier",
                   "Missing Lambda-Extension-Identifier header");
        else if (!is_unique_id(id))
            refuse(from, "Extension.InvalidExtensionIdentifier",
                   "Invalid Lambda-Extension-Identifier");
        else
            refuse(from, "Extension.UnknownExtensionIdentifier", "Unknown extension " + id);
        return nullptr;
    }

    std::vector<std::string> external_;
    request_checks checks_;
    std::vector<extension> all_;
};

} // namespace loopsafe::testing::detail

#endif
