"""What a test asks of the service's page in a browser."""

from running_service import RunningService

from chromium import Page

PHONE, TABLET, DESK = 390, 768, 1280
# A phone's browser makes the page wider where something sticks out, so its own width proves nothing.
_TOO_WIDE = """[...document.body.querySelectorAll("*")].filter((part) => !part.closest(".unseen, .skip, datalist"))
  .filter((part) => part.getBoundingClientRect().right > WIDTH + 0.5).map((part) => part.outerHTML.slice(0, 80))"""
# WCAG 2.1, 1.4.3, of all text that is seen and not disabled; 3 is enough for large letters (24 px, or 18.66 px bold).
_FAINT = """(() => {
  const numbers = (colour) => { const [r, g, b, a = 1] = colour.match(/[\\d.]+/g).map(Number); return [r, g, b, a]; };
  const light = (colour) => {
    const [r, g, b] = numbers(colour).map((value) => value / 255)
      .map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (part) => {
    for (; part; part = part.parentElement) {
      const colour = getComputedStyle(part).backgroundColor;
      if (numbers(colour)[3] > 0) return colour;
    }
    return "rgb(255, 255, 255)";
  };
  const seen = [...document.body.querySelectorAll("*")].filter((part) =>
    part.checkVisibility() && !part.closest(".unseen, .skip, :disabled, datalist") &&
    [...part.childNodes].some((node) => node.nodeType === 3 && node.data.trim()));
  return [seen.length, seen.filter((part) => {
    const style = getComputedStyle(part), size = parseFloat(style.fontSize);
    const [dark, bright] = [light(style.color), light(behind(part))].sort((one, other) => one - other);
    return (bright + 0.05) / (dark + 0.05) < (size >= 24 || (size >= 18.66 && style.fontWeight >= 700) ? 3 : 4.5);
  }).map((part) => part.outerHTML.slice(0, 80))];
})()"""


def address(service: RunningService, host: str = "127.0.0.1") -> str:
    """Return where the page is."""
    return f"http://{host}:{service.port}/"


def text(page: Page, selector: str) -> str:
    """Return the text of the first such element, as it is shown."""
    return str(page.run(f"document.querySelector({selector!r}).innerText"))


def click(page: Page, selector: str) -> None:
    """Press an element."""
    page.run(f"document.querySelector({selector!r}).click()")


def too_wide(page: Page, width: int) -> list[str]:
    """Return what sticks out of a page of this width."""
    found: list[str] = page.run(_TOO_WIDE.replace("WIDTH", str(width)))
    return found


def faint(page: Page) -> list[str]:
    """Return the elements whose text is too little different from what is behind it."""
    count, found = page.run(_FAINT)
    assert count > 10
    return list(found)


def check_looks(page: Page, shown: str) -> None:
    """Check a page as it is at three widths, light and dark; `shown` says what is seen on it, for messages."""
    for width in (PHONE, TABLET, DESK):
        for dark in (False, True):
            page.look_like(width=width, dark=dark)
            assert (shown, width, too_wide(page, width)) == (shown, width, [])
            assert page.run("document.documentElement.scrollWidth") <= width
            assert (shown, dark, faint(page)) == (shown, dark, [])
