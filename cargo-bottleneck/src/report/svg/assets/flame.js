// Makes inferno's flame graph speak of kinds: labels with tags, a tooltip, a filter by kind, and the keyboard.
// Names from the profiled program enter the page as text nodes only; nothing here builds markup from a string.
"use strict";
(function () {
    var SVG = "http://www.w3.org/2000/svg";
    var MARGIN = 10, LABEL_PAD = 3, THIN = 4, TIP_COLUMNS = 92, TIP_LINE = 17;
    var boxes = new Map();
    var device, chart, tip, texts, full_height;

    // --- Text in columns; `label.rs` counts and cuts the same way.

    function cells(c) {
        var n = c.codePointAt(0);
        return (n >= 0x1100 && n <= 0x115F) || (n >= 0x2E80 && n <= 0xA4CF) || (n >= 0xAC00 && n <= 0xD7A3)
            || (n >= 0xF900 && n <= 0xFAFF) || (n >= 0xFE30 && n <= 0xFE6F) || (n >= 0xFF00 && n <= 0xFF60)
            || (n >= 0x1F300 && n <= 0x1FAFF) || (n >= 0x20000 && n <= 0x3FFFD) ? 2 : 1;
    }
    function width(text) {
        var sum = 0;
        for (var c of text) sum += cells(c);
        return sum;
    }
    function cut(text, room) {
        if (width(text) <= room) return text;
        var used = 1, res = "";
        for (var c of text) {
            used += cells(c);
            if (used > room) break;
            res += c;
        }
        return room > 0 ? res + "…" : res;
    }
    function fit(name, tag, room) {
        var needed = width(name);
        if (!needed) return ["", tag.length <= room ? tag : ""];
        if (tag && needed + 1 + tag.length <= room) return [name, " " + tag];
        if (needed <= room) return [name, ""];
        if (tag && tag.length <= room && room < 6) return ["", tag];
        return room >= 3 ? [cut(name, room), ""] : ["", ""];
    }
    function wrap(text, room) {
        var lines = [""];
        text.split(" ").forEach(function (word) {
            var last = lines[lines.length - 1];
            if (last && width(last) + 1 + width(word) > room) lines.push(last = "");
            last += (last ? " " : "") + word;
            while (width(last) > room) {
                var head = cut(last, room + 1).slice(0, -1);
                lines[lines.length - 1] = head;
                lines.push(last = last.slice(head.length));
            }
            lines[lines.length - 1] = last;
        });
        return lines;
    }
    function column_width() { return window.known_font_width || 7.25; }

    // --- What is known about a box. Its native tooltip is taken out: ours also works for the keyboard.

    function read(g) {
        var box = boxes.get(g);
        if (box) return box;
        var title = g.querySelector("title"), base = g.querySelector("rect");
        var whole = Number(base.getAttribute("fg:w")), own = 0;
        g.querySelectorAll("rect.own").forEach(function (rect) { own += Number(rect.getAttribute("fg:w")); });
        var lines = title.textContent.split("\n");
        box = {
            base: base, lines: lines, name: lines[0], title: title.textContent,
            tag: g.getAttribute("data-tag") || "", level: Number(g.getAttribute("aria-level")),
            // The label stands on the larger part: own time, which lies to the right, or that of the children. In the
            // latter case a second text holds the tag, on the own time.
            text: g.querySelector("text"), mark: g.querySelector("text.part"),
            own: { from: 1 - own / whole, room: own / whole }, is_on_own: 2 * own > whole
        };
        title.remove();
        boxes.set(g, box);
        return box;
    }
    window.g_to_text = window.g_to_func = function (g) { return read(g).title; };

    function plan(box, text, part, name, tag, across) {
        var whole = parseFloat(box.base.getAttribute("width"));
        var x = parseFloat(box.base.getAttribute("x")) + whole * part.from + 100 * LABEL_PAD / across;
        var room = Math.floor((whole * part.room / 100 * across - 2 * LABEL_PAD) / column_width());
        return { text: text, x: x, words: fit(name, tag, room) };
    }
    function write(it) {
        it.text.setAttribute("x", it.x.toFixed(4) + "%");
        it.text.textContent = it.words[0];
        if (!it.words[1]) return;
        var tag = document.createElementNS(SVG, "tspan");
        tag.textContent = it.words[1];
        it.text.appendChild(tag);
    }
    window.update_text_for_elements = function (elements) {
        var across = parseFloat(chart.getAttribute("width")), plans = [], thin = [];
        // First read everything, then write: alternating would make the browser lay out again for each box.
        Array.from(elements, function (g) {
            var box = read(g), is_parent = g.classList.contains("parent"), children = 1 - box.own.room;
            var part = is_parent ? { from: 0, room: 1 } : box.is_on_own ? box.own : { from: 0, room: children };
            plans.push(plan(box, box.text, part, box.name, !is_parent && box.is_on_own ? box.tag : "", across));
            if (box.mark) plans.push(plan(box, box.mark, box.own, "", box.tag, across));
            thin.push([g, parseFloat(box.base.getAttribute("width")) * across < 100 * THIN]);
        });
        plans.forEach(write);
        thin.forEach(function (it) { it[0].classList.toggle("thin", it[1]); });
    };
    window.update_text = function (g) { window.update_text_for_elements([g]); };

    // --- Search: an expression that is none is searched for as it stands, and finding nothing is said.

    var search_frames = window.search;
    window.search = function (term) {
        try { new RegExp(term); } catch (_) { term = term.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"); }
        search_frames(term);
        if (!window.searching) matched("No match");
    };
    function matched(text) {
        var line = document.getElementById("matched");
        line.firstChild.nodeValue = text || " ";
        line.classList.toggle("hide", !text);
    }

    // --- Filter by kind.

    function filter(kind) {
        [chart, device].forEach(function (graph) {
            if (!graph) return;
            if (kind) graph.setAttribute("data-filter", kind); else graph.removeAttribute("data-filter");
        });
        document.querySelectorAll(".legend[data-kind]").forEach(function (item) {
            item.setAttribute("aria-pressed", String(item.getAttribute("data-kind") === kind));
        });
    }
    function toggle(item) {
        filter(item.getAttribute("aria-pressed") === "true" ? "" : item.getAttribute("data-kind"));
    }

    // --- Tooltip.

    function show(g, x, y) {
        var box = read(g), text = tip.querySelector("text"), columns = 0, n = 0;
        text.textContent = "";
        box.lines.forEach(function (line, i) {
            wrap(line, TIP_COLUMNS).forEach(function (part) {
                var span = document.createElementNS(SVG, "tspan");
                span.textContent = part;
                span.setAttribute("x", 14);
                span.setAttribute("y", 18 + TIP_LINE * n);
                if (i === 0) span.setAttribute("class", "first");
                text.appendChild(span);
                columns = Math.max(columns, width(part));
                n += 1;
            });
        });
        var w = 26 + columns * column_width(), h = 12 + TIP_LINE * n;
        var own = g.querySelector("rect.own, rect.leaf"), stripe = tip.querySelector(".tip-kind");
        stripe.setAttribute("fill", own ? own.getAttribute("fg:orig_fill") || own.getAttribute("fill") : "none");
        stripe.setAttribute("height", h);
        tip.querySelector(".tip-box").setAttribute("width", w);
        tip.querySelector(".tip-box").setAttribute("height", h);
        var right = window.scrollX + window.innerWidth, bottom = window.scrollY + window.innerHeight;
        var top = y + 16 + h > bottom ? y - h - 12 : y + 16;
        var left = Math.max(window.scrollX + 4, Math.min(x + 12, right - w - 6));
        tip.setAttribute("transform", "translate(" + left + " " + Math.max(window.scrollY + 4, top) + ")");
        tip.classList.remove("hide");
    }
    function hide() { tip.classList.add("hide"); }
    function box_at(target) {
        return target instanceof Element ? target.closest("#frames > g, #device > g") : null;
    }

    // --- Keyboard. One box at a time can be reached by Tab; the arrows move on from it.

    function visit(g) {
        chart.querySelectorAll('[tabindex="0"]').forEach(function (it) { it.setAttribute("tabindex", -1); });
        g.setAttribute("tabindex", 0);
        g.focus();
    }
    function is_visible(g) { return !g.classList.contains("hide"); }
    function neighbor(g, key) {
        var level = read(g).level, forward = key === "ArrowRight" || key === "ArrowDown";
        var wanted = key === "ArrowUp" ? level - 1 : key === "ArrowDown" ? level + 1 : level;
        var step = forward ? "nextElementSibling" : "previousElementSibling";
        for (var it = g[step]; it; it = it[step]) {
            // Boxes follow the box above them, so the first of its level or higher ends the search below one.
            if (key === "ArrowDown" && read(it).level <= level) return null;
            if (read(it).level === wanted && is_visible(it)) return it;
        }
        return null;
    }
    function click(element) {
        element.dispatchEvent(new MouseEvent("click", { bubbles: true, cancelable: true }));
    }
    function reset() {
        hide();
        filter("");
        if (window.searching) window.search_prompt(); else matched("");
        var unzoom = document.getElementById("unzoom");
        if (is_visible(unzoom)) click(unzoom);
    }
    function on_key(e) {
        if (e.metaKey && e.key === "f") {
            e.preventDefault();
            window.search_prompt();
        }
        if (e.ctrlKey || e.metaKey || e.altKey) return;
        var active = document.activeElement, g = box_at(active);
        if (e.key === "Escape") reset();
        else if (e.key === "Enter" || e.key === " ") {
            if (g) click(read(g).base);
            else if (active && active.getAttribute("role") === "button") click(active);
            else return;
        } else if (g && e.key.startsWith("Arrow")) {
            var next = neighbor(g, e.key);
            if (next) visit(next);
        } else if (g && e.key === "Home") visit(chart.firstElementChild);
        else return;
        e.preventDefault();
    }

    // --- Lines of text outside the graph keep to the width of the window; inferno keeps the graph to it.

    function lay_out() {
        if (device) {
            device.setAttribute("width", chart.getAttribute("width"));
            window.update_text_for_elements(device.children);
        }
        // The tooltip is cut off where the picture ends, which may be above the end of the window.
        document.documentElement.setAttribute("height", Math.max(full_height, window.innerHeight));
        var across = document.documentElement.width.baseVal.value;
        document.getElementById("unzoom").setAttribute("x", across - MARGIN - 14 * column_width());
        texts.forEach(function (it) {
            var room = across - it.x - MARGIN - it.reserve;
            it.element.firstChild.nodeValue = cut(it.full, Math.floor(room / it.column));
        });
    }
    window.addEventListener("load", function () {
        chart = document.getElementById("frames");
        tip = document.getElementById("tip");
        full_height = Number(document.documentElement.getAttribute("height"));
        device = document.getElementById("device");
        var graphs = device ? [chart, device] : [chart];
        graphs.forEach(function (graph) { Array.from(graph.children, read); });
        texts = Array.from(document.querySelectorAll(".fit"), function (element) {
            var full = element.firstChild.nodeValue;
            return {
                element: element, full: full, x: Number(element.getAttribute("x")),
                reserve: Number(element.getAttribute("data-reserve")),
                column: element.getComputedTextLength() / Math.max(1, width(full))
            };
        });
        window.addEventListener("resize", lay_out);
        // After inferno's own first layout, which is also put off.
        setTimeout(lay_out, 0);
        window.addEventListener("keydown", on_key);
        window.addEventListener("click", function (e) {
            var item = e.target instanceof Element ? e.target.closest(".legend[data-kind]") : null;
            if (item) toggle(item);
            hide();
        });
        window.addEventListener("mousemove", function (e) {
            var g = box_at(e.target);
            if (g) show(g, e.clientX + window.scrollX, e.clientY + window.scrollY); else hide();
        });
        graphs.forEach(function (graph) {
            graph.addEventListener("mouseleave", hide);
            graph.addEventListener("focusin", function (e) {
                var g = box_at(e.target);
                if (!g || !g.matches(":focus-visible")) return;
                var at = read(g).base.getBoundingClientRect();
                show(g, at.left + window.scrollX, at.bottom + window.scrollY - 10);
            });
            graph.addEventListener("focusout", hide);
        });
    });
})();
