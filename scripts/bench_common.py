"""What the scripts share that time one thing by several peers: turns, medians, the table."""

import statistics


def measure(peers, once, runs):
    """Peer's name to its median; one warm-up, then turns, so that a machine that slows down slows all."""
    figures = {peer.name: [] for peer in peers}
    for turn in range(runs + 1):
        for peer in peers:
            took = once(peer)
            if turn:
                figures[peer.name].append(took)
    return {name: statistics.median(each) for name, each in figures.items()}


def table(title, figures, show):
    """One line a peer; the first is ours, and the others have its figure divided by theirs."""
    own = next(iter(figures.values()))
    for index, (name, value) in enumerate(figures.items()):
        ratio = "" if index == 0 or not value else f"{own / value:.2f}"
        print(f"| {title if index == 0 else ''} | {name} | {show(value)} | {ratio} |", flush=True)


def milliseconds(seconds):
    return f"{1000 * seconds:.1f} ms"
