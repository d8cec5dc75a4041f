// Uses the picture like a person does. Leaves what went wrong in the element `results`.
"use strict";
window.addEventListener("load", function () {
    var failed = [], n_checks = 0;
    function check(what, holds) {
        n_checks += 1;
        if (!holds) failed.push(what);
    }
    function all() { return Array.from(document.querySelectorAll("#frames > g")); }
    function named(name, position) {
        return all().filter(function (g) { return g.getAttribute("aria-label").startsWith(name); })[position || 0];
    }
    function click(element) { element.dispatchEvent(new MouseEvent("click", { bubbles: true, cancelable: true })); }
    function press(key) {
        document.activeElement.dispatchEvent(new KeyboardEvent("keydown", { key: key, bubbles: true, cancelable: true }));
    }
    function focused() { return document.activeElement.getAttribute("aria-label"); }
    function byId(id) { return document.getElementById(id); }
    function is_hidden(element) { return element.classList.contains("hide"); }
    function left(g) { return parseFloat(g.querySelector("rect").getAttribute("x")); }
    function across(g) { return parseFloat(g.querySelector("rect").getAttribute("width")); }
    function label(g) { return g.querySelector("text").textContent; }
    function tip() { return is_hidden(byId("tip")) ? null : byId("tip").querySelector("text").textContent; }
    function point_at(g) {
        g.querySelector("rect").dispatchEvent(new MouseEvent("mousemove", { bubbles: true, clientX: 300, clientY: 200 }));
    }
    function run() {
        var decode = named("decode"), linear = named("Linear", 1), preempted = named("preempted");
        check("labels carry tags", label(linear) === "Linear<[u8; 8]>::forward MEM");
        check("no native tooltip remains", !document.querySelector("#frames title"));
        var evil = named("evil");
        point_at(evil);
        evil.focus();
        check("a hostile name is shown as it is", tip().startsWith("evil</title></g><script>window.pwned=1</script>"));
        check("and never executed", window.pwned === undefined && document.querySelectorAll("script").length === 3);

        point_at(linear);
        check("the tooltip gives evidence", tip() && tip().includes("38.1 GB/s = 92%") && tip().includes("35.1%"));
        var matvec = named("matvec"), base = matvec.querySelector("rect.leaf");
        check("a function inside lies below its span", matvec.getAttribute("aria-level") - linear.getAttribute("aria-level") === 1
            && left(matvec) > left(linear) && across(matvec) < across(linear) && label(matvec) === "matvec");
        check("in a lighter shade", getComputedStyle(base).fill !== getComputedStyle(linear.querySelector("rect.own")).fill);
        point_at(matvec);
        check("its tooltip names the line and the samples", tip() && tip().includes("src/math.rs:41") && tip().includes("871 samples"));
        check("with the color of its shade", byId("tip").querySelector(".tip-kind").getAttribute("fill") === base.getAttribute("fill"));
        window.search("^matvec");
        check("it can be found", base.getAttribute("fill") === "rgb(157,242,192)" && byId("matched").textContent.startsWith("Matched"));
        press("Escape");
        check("and is as before", base.getAttribute("fill") === "rgb(180,204,252)");
        byId("frames").dispatchEvent(new MouseEvent("mouseleave"));
        check("the tooltip goes away", tip() === null);

        var before = across(linear);
        click(decode.querySelector("rect"));
        check("a click zooms", across(decode) === 100 && left(decode) === 0 && across(linear) > 2 * before);
        check("own parts follow", Math.abs(parseFloat(linear.querySelector("rect.part").getAttribute("width")) - 66.77) < 0.01);
        check("zooming hides the rest", is_hidden(named("prefill")) && !is_hidden(byId("unzoom")));
        check("zooming finds room for labels", label(preempted).startsWith("preemp"));
        click(byId("unzoom"));
        check("zoom is reset", across(linear) === before && !is_hidden(named("prefill")) && is_hidden(byId("unzoom")));

        var io = document.querySelector('.legend[data-kind="io"]');
        click(io);
        check("the legend filters", byId("frames").getAttribute("data-filter") === "io" && io.getAttribute("aria-pressed") === "true");
        check("other kinds recede", Number(getComputedStyle(linear.querySelector("rect.own")).opacity) < 1
            && getComputedStyle(named("copy_h2d").querySelector("rect.own")).opacity === "1");
        io.focus();
        press("Enter");
        check("Enter takes the filter off", !byId("frames").hasAttribute("data-filter"));

        window.search("^Linear.*forward");
        check("search marks", linear.querySelector("rect").getAttribute("fill") === "rgb(157,242,192)");
        check("search says how much", byId("matched").textContent === "Matched: 46.5%");
        check("what is found stays readable", getComputedStyle(linear.querySelector("text")).fill === "rgb(17, 17, 17)");
        window.search_prompt();
        check("search is reset", linear.querySelector("rect").getAttribute("fill") === "rgb(233,236,239)");
        window.search("wait_stream(");
        check("a broken expression is taken as text", byId("matched").textContent.startsWith("Matched"));
        press("Escape");
        window.search("nowhere");
        check("finding nothing is said", byId("matched").textContent === "No match");
        press("Escape");
        check("Escape resets the search", is_hidden(byId("matched")));

        all()[0].focus();
        ["ArrowDown", "ArrowDown", "ArrowDown", "ArrowRight"].forEach(press);
        check("arrows move between boxes", focused().startsWith("prefill"));
        check("one box can be reached by Tab", document.querySelectorAll('#frames > [tabindex="0"]').length === 1);
        press("ArrowDown");
        check("down goes below", focused().startsWith("copy_h2d"));
        check("focus shows the tooltip", tip() && tip().includes("src/stage.rs:52"));
        press("ArrowUp");
        press("Enter");
        check("Enter zooms", across(named("prefill")) === 100);
        press("Escape");
        check("Escape resets the zoom", across(named("prefill")) < 60 && tip() === null);
    }
    setTimeout(function () {
        try { run(); } catch (error) { failed.push("exception: " + error); }
        byId("results").textContent = "RESULTS " + n_checks + " checks, failed: [" + failed.join("; ") + "]";
    }, 50);
});
