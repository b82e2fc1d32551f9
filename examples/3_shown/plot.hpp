// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_EXAMPLES_PLOT_HPP
#define LOOPSAFE_EXAMPLES_PLOT_HPP

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

/// A stand-alone SVG: panels side by side with one logarithmic scale, at most five lines in each,
/// labelled where they end. It follows the reader's choice of light or dark.
namespace plot {

struct line {
    std::string name;
    std::vector<double> values; ///< one for each place, more than 0
};

struct panel {
    std::string title;
    std::vector<line> lines; ///< those drawn later lie on top, and are thinner
};

struct picture {
    std::string title;
    std::string axis; ///< what the places are
    std::vector<std::string> places;
    std::vector<panel> panels;
};

namespace detail {

inline constexpr double width = 560, height = 440; // of a panel with its labels
inline constexpr double left = 56, right = 330, top = 84, bottom = 380;

inline constexpr const char* style = R"(<style>
text { font: 13px system-ui, "Helvetica Neue", "DejaVu Sans", sans-serif; fill: #24292f }
.title { font-size: 16px; font-weight: 600 }
.panel { font-weight: 600 }
.axis { fill: #57606a }
.page { fill: #ffffff }
.grid { stroke: #d8dee4; stroke-width: 1 }
polyline { fill: none; stroke-linejoin: round; stroke-linecap: round }
.lead { fill: none; stroke-width: 1 }
.l0 { stroke: #afb8c1 } .t0 { fill: #57606a }
.l1 { stroke: #f0883e } .t1 { fill: #bc4c00 }
.l2 { stroke: #8250df } .t2 { fill: #8250df }
.l3 { stroke: #0969da } .t3 { fill: #0969da }
.l4 { stroke: #116329 } .t4 { fill: #116329 }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 } .axis { fill: #9198a1 } .page { fill: #0d1117 } .grid { stroke: #30363d }
.l0 { stroke: #656c76 } .t0 { fill: #9198a1 }
.l1 { stroke: #db6d28 } .t1 { fill: #f0883e }
.l2 { stroke: #d2a8ff } .t2 { fill: #d2a8ff }
.l3 { stroke: #58a6ff } .t3 { fill: #58a6ff }
.l4 { stroke: #3fb950 } .t4 { fill: #3fb950 }
}
</style>
)";

// Lines that lie on each other all stay visible.
inline constexpr const char* strokes[] = {"stroke-width=\"9\"", "stroke-width=\"6\"",
                                          "stroke-width=\"2\"", "stroke-width=\"4\"",
                                          "stroke-width=\"2\" stroke-dasharray=\"1 6\""};

struct scale {
    double least = std::numeric_limits<double>::max();
    double most = 0;

    double y(double value) const
    {
        return bottom - (bottom - top) * std::log(value / least) / std::log(most / least);
    }
};

// The least and the most, each with some air.
inline scale scale_of(const picture& p)
{
    scale s;
    for (const auto& panel : p.panels)
        for (const auto& line : panel.lines)
            for (const double value : line.values) {
                s.least = std::min(s.least, value / 1.4);
                s.most = std::max(s.most, value * 1.4);
            }
    return s;
}

// Where the labels stand: beside the ends of their lines, and never on each other.
inline std::vector<double> spread(std::vector<double> wanted)
{
    constexpr double apart = 18;
    std::vector<std::size_t> order(wanted.size());
    for (std::size_t i = 0; i != order.size(); ++i)
        order[i] = i;
    std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
        return std::pair(wanted[a], a) < std::pair(wanted[b], b);
    });
    // Neighbours that are too close become one group around their middle.
    struct group {
        double middle;
        std::size_t size;
        double half() const { return apart * static_cast<double>(size) / 2; }
    };
    std::vector<group> groups;
    for (const auto i : order) {
        group next{wanted[i], 1};
        while (!groups.empty() &&
               groups.back().middle + groups.back().half() > next.middle - next.half()) {
            const auto n = static_cast<double>(next.size);
            const auto m = static_cast<double>(groups.back().size);
            next = {(groups.back().middle * m + next.middle * n) / (m + n),
                    groups.back().size + next.size};
            groups.pop_back();
        }
        groups.push_back(next);
    }
    std::size_t at = 0;
    for (const auto& g : groups)
        for (std::size_t i = 0; i != g.size; ++i)
            wanted[order[at++]] = g.middle - g.half() + apart * (static_cast<double>(i) + 0.5);
    return wanted;
}

inline void draw_axes(std::ostream& out, const picture& p, const scale& s)
{
    for (double tick = std::pow(10, std::ceil(std::log10(s.least))); tick <= s.most; tick *= 10)
        out << "<path class=\"grid\" d=\"M" << left << ' ' << s.y(tick) << "H" << right
            << "\"/><text class=\"axis\" text-anchor=\"end\" x=\"" << left - 10 << "\" y=\""
            << s.y(tick) + 4.5 << "\">" << tick << "</text>\n";
    out << "<text class=\"axis\" text-anchor=\"middle\" x=\"" << (left + right) / 2 << "\" y=\""
        << bottom + 44 << "\">" << p.axis << "</text>\n";
}

inline void draw(std::ostream& out, const panel& of, const picture& p, const scale& s)
{
    const auto x = [&](std::size_t place) {
        const auto steps = static_cast<double>(std::max<std::size_t>(p.places.size(), 2) - 1);
        return left + 16 + (right - left - 32) * static_cast<double>(place) / steps;
    };
    out << "<text class=\"panel\" x=\"" << left << "\" y=\"" << top - 18 << "\">" << of.title
        << "</text>\n";
    draw_axes(out, p, s);
    for (std::size_t i = 0; i != p.places.size(); ++i)
        out << "<text class=\"axis\" text-anchor=\"middle\" x=\"" << x(i) << "\" y=\""
            << bottom + 22 << "\">" << p.places[i] << "</text>\n";

    std::vector<double> ends;
    for (std::size_t i = 0; i != of.lines.size(); ++i) {
        const auto& values = of.lines[i].values;
        out << "<polyline class=\"l" << i << "\" " << strokes[i] << " points=\"";
        for (std::size_t k = 0; k != values.size(); ++k)
            out << x(k) << ',' << s.y(values[k]) << ' ';
        out << "\"/>\n";
        ends.push_back(s.y(values.back()));
    }
    const auto labels = spread(ends);
    const double end = x(p.places.size() - 1);
    for (std::size_t i = 0; i != of.lines.size(); ++i)
        out << "<path class=\"lead l" << i << "\" d=\"M" << end + 6 << ' ' << ends[i] << "L"
            << end + 22 << ' ' << labels[i] << "\"/><text class=\"t" << i << "\" x=\"" << end + 27
            << "\" y=\"" << labels[i] + 4.5 << "\">" << of.lines[i].name << "</text>\n";
}

} // namespace detail

inline std::string svg(const picture& p)
{
    using namespace detail;
    const auto s = scale_of(p);
    std::ostringstream out;
    const double whole = width * static_cast<double>(p.panels.size());
    out << "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 " << whole << ' ' << height
        << "\" width=\"" << whole << "\" height=\"" << height << "\" role=\"img\">\n<title>"
        << p.title << "</title>\n"
        << style << "<rect class=\"page\" width=\"100%\" height=\"100%\"/>\n"
        << "<text class=\"title\" x=\"" << left << "\" y=\"32\">" << p.title << "</text>\n";
    for (std::size_t i = 0; i != p.panels.size(); ++i) {
        out << "<g transform=\"translate(" << width * static_cast<double>(i) << " 0)\">\n";
        draw(out, p.panels[i], p, s);
        out << "</g>\n";
    }
    out << "</svg>\n";
    return out.str();
}

} // namespace plot

#endif
