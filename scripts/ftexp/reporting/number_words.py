"""Numbers as a report shows them: three decimals, more only where these would hide which side of 0 a number is on."""


def shown(value: float, *, is_signed: bool = False) -> str:
    """A number with a true minus sign; `is_signed` gives a positive one its plus."""
    sign = "+" if is_signed else ""
    text = format(value, f"{sign}.3f" if abs(value) < 1000 else f"{sign},.0f")
    if abs(value) < 1000 and float(text) == 0:
        text = format(value, f"{sign}.5f") if abs(value) >= 5e-6 else "0"
    return text.replace("-", "−")


def shown_range(low: float, high: float) -> str:
    """An interval."""
    return f"{shown(low)} to {shown(high)}"
