"""Questions over records: a list of dicts, or a dict of dicts by id."""

from __future__ import annotations

from collections import Counter
from typing import Any

from rlm.tasks.sample import LENGTH, SHORTEST, Sample, Stream

CITIES = "Aarhus Bergen Cork Dresden Evora Fribourg Ghent Haifa Izmir Jena Krakow Lyon".split()
PRODUCTS = "anvil broom clamp drill easel funnel gimlet hinge jigsaw kiln lathe mallet".split()


def sample(seed: int, *, length: int = LENGTH) -> Sample:
    """Orders of a shop, and a question of one of four kinds: look-up, filter, sum, or maximum by group.

    length: characters of the records as Python writes them, up to one record more.
    """
    length = max(length, SHORTEST)
    stream = Stream(seed)
    keyed = stream.random() < 0.5
    orders: dict[str, dict[str, Any]] = {}
    while length > 0:
        number = f"A{100_000 + len(orders) * 7 + stream.between(0, 6)}"
        orders[number] = {
            "city": stream.choice(CITIES),
            "product": stream.choice(PRODUCTS),
            "quantity": stream.between(1, 20),
            "price": stream.between(5, 500),
        }
        length -= len(number) + len(str(orders[number])) + (6 if keyed else 15)  # quotes, commas, "order"
    context: Any = orders if keyed else [{"order": number, **order} for number, order in orders.items()]
    kind = stream.choice(["look-up", "filter", "sum", "maximum"])
    question, answers, form = _asked(stream, orders, kind)
    choices = tuple(CITIES) if form == "choice" else ()
    return Sample(context, question, answers, form, choices, kind)


def _asked(stream: Stream, orders: dict[str, dict[str, Any]], kind: str) -> tuple[str, tuple[str, ...], str]:
    number = stream.choice(list(orders))
    order = orders[number]
    city, product, quantity = order["city"], order["product"], order["quantity"]
    if kind == "look-up":
        return f"What is the price in order {number}?", (str(order["price"]),), "number"
    if kind == "filter":
        found = [
            other
            for other in orders.values()
            if other["city"] == city and other["product"] == product and other["quantity"] >= quantity
        ]
        question = f"How many orders from {city} are for at least {quantity} of the product {product}?"
        return question, (str(len(found)),), "number"
    if kind == "sum":
        total = sum(other["quantity"] for other in orders.values() if other["city"] == city)
        return f"What is the sum of the quantities of all orders from {city}?", (str(total),), "number"
    worth: Counter[str] = Counter()
    for other in orders.values():
        if other["product"] == product:
            worth[other["city"]] += other["quantity"] * other["price"]
    best = tuple(sorted(city for city, value in worth.items() if value == max(worth.values())))
    return (
        f"The worth of an order is its quantity times its price. In which city do the orders for the product "
        f"{product} have the highest worth together?",
        best,
        "choice",
    )
