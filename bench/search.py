"""bench/run search: likeness over 100,000 vectors through the whole server, beside brute force by NumPy on the same vectors."""
import sqlite3
import time
import uuid

import numpy as np

DIMENSIONS, KINDS, SEED = 1280, 2000, 11


def vectors(count):
    """As features behind a rectifier are: sparse, none below zero, in clusters of kinds of pictures; of length 1. Made in pieces to stay small."""
    rng = np.random.default_rng(SEED)
    centres = np.maximum(0, rng.normal(-0.6, 1, (KINDS, DIMENSIONS)).astype(np.float32))
    out = np.empty((count, DIMENSIONS), np.float32)
    for at in range(0, count, 10_000):
        part = out[at:at + 10_000]
        part[:] = np.maximum(0, centres[rng.integers(0, KINDS, len(part))] + rng.normal(0, 0.5, part.shape).astype(np.float32))
        part /= np.linalg.norm(part, axis=1, keepdims=True)
    return out


def fill(data, project, seed, found):
    """Images of one object with a vector each, as the server would have written them. Returns their ids."""
    db = sqlite3.connect(next(data.glob("*.db")))
    db.execute("PRAGMA synchronous = OFF")
    db.execute("PRAGMA foreign_keys = ON")
    columns = [c[1] for c in db.execute("PRAGMA table_info(images)")]
    base = dict(zip(columns, db.execute("SELECT * FROM images WHERE id = ?", (seed,)).fetchone()))
    db.execute("DELETE FROM image_vectors WHERE image_id = ?", (seed,))
    ids = [str(uuid.uuid4()) for _ in found]
    db.executemany(f"INSERT INTO images VALUES ({','.join('?' * len(columns))})",
                   ([{**base, "id": image, "filename": f"{i:06}.jpg", "folder": f"/f{i % 10}"}[c] for c in columns] for i, image in enumerate(ids)))
    db.executemany("INSERT INTO image_vectors (image_id, project_id, model, vector) VALUES (?, ?, 'efficientnet_lite0', ?)",
                   ((image, project, vector.tobytes()) for image, vector in zip(ids, found)))
    db.execute("DELETE FROM description_queue")
    db.commit()
    db.close()
    return ids


def ours(client, ids, queries, limit):
    times, answers = [], []
    for q in queries:
        begin = time.monotonic()
        reply = client.get("/search/similar", params={"image_id": ids[q], "folder_path": "/", "threshold": 0, "limit": limit})
        times.append((time.monotonic() - begin) * 1000)
        answers.append([hit["id"] for hit in reply.json()["results"]])
    return times, answers


def brute_force(found, queries, limit):
    times, answers = [], []
    for q in queries:
        begin = time.monotonic()
        scores = found @ found[q]
        scores[q] = -1
        best = np.argpartition(-scores, limit)[:limit]
        answers.append(best[np.argsort(-scores[best])])
        times.append((time.monotonic() - begin) * 1000)
    return times, answers


def measure(bench, row, rss_mb, count=100_000, queries=200, limit=10):
    project = bench.client.project()
    seed = bench.client.upload(project, "seed.jpg", bench.picture())
    bench.server.stop()
    found = vectors(count)
    ids = fill(bench.folder / "data", project["id"], seed["id"], found)
    bench.server.start()
    before = rss_mb(bench.server.process.pid)
    picked = np.random.default_rng(3).choice(count, queries, replace=False)
    (first, *_), _ = ours(bench.client, ids, picked[:1], limit)
    memory = rss_mb(bench.server.process.pid)
    times, answers = ours(bench.client, ids, picked, limit)
    peer, truth = brute_force(found, picked, limit)
    hits = sum(len({ids[i] for i in want} & set(got)) for want, got in zip(truth, answers))
    middle, late = sorted(times)[queries // 2], sorted(times)[queries * 99 // 100]
    numpy = sorted(peer)[queries // 2]
    row(f"search by likeness, {count:,} × {DIMENSIONS}, over HTTP (median, p99)", f"{middle:.1f} ms, {late:.1f} ms", f"NumPy float32 brute force {numpy:.1f} ms: {numpy / middle:.1f} ×", "≤ 10 ms")
    row("its recall@10 against brute force", f"{hits / queries / limit:.4f}", "", "≥ 0.999")
    row("its first search after a start; memory before, after", f"{first:.0f} ms, {before:.0f} → {memory:.0f} MB", f"vectors as float32 {found.nbytes / 1e6:.0f} MB", "")
