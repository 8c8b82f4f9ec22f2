"""What the scripts share that time one thing by several peers: commands, turns, medians, the table."""

import statistics
import subprocess
import sys

HEAD = "| work | way | median | least | ours ÷ this |\n|---|---|---:|---:|---:|"


def sh(*words, **options):
    """Runs a command that must succeed; gives what it printed."""
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, stdin=subprocess.DEVNULL,
                          **options)
    if done.returncode:
        sys.exit(f"bench: {' '.join(map(str, words))}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout.strip()


def measure(peers, once, runs):
    """Peer's name to its figures; one warm-up, then turns, so that a machine that slows down slows all."""
    figures = {peer.name: [] for peer in peers}
    for turn in range(runs + 1):
        for peer in peers:
            took = once(peer)
            if turn:
                figures[peer.name].append(took)
    return figures


def table(title, figures, show):
    """One line a peer; the first is ours, and the others have its median divided by theirs. The least figure is
    what it takes when nobody is in the way; of a single one there is none."""
    own = statistics.median(next(iter(figures.values())))
    for index, (name, each) in enumerate(figures.items()):
        median = statistics.median(each)
        least = show(min(each)) if len(each) > 1 else ""
        ratio = "" if index == 0 or not median else f"{own / median:.2f}"
        print(f"| {title if index == 0 else ''} | {name} | {show(median)} | {least} | {ratio} |", flush=True)


def milliseconds(seconds):
    return f"{1000 * seconds:.1f} ms"
