from threading import Barrier, Event, Thread

from indexes.read_write_lock import ReadWriteLock


def test_readers_share() -> None:
    lock, together = ReadWriteLock(), Barrier(3, timeout=10)

    def read() -> None:
        with lock.reading():
            together.wait()  # breaks, with an error, unless all three are inside at once

    threads = [Thread(target=read) for _ in range(2)]
    for thread in threads:
        thread.start()
    read()
    for thread in threads:
        thread.join()


def test_a_writer_is_alone() -> None:
    lock = ReadWriteLock()
    inside = {"readers": 0, "writers": 0}
    seen: list[tuple[int, int]] = []

    def read() -> None:
        for _ in range(300):
            with lock.reading():
                seen.append((0, inside["writers"]))

    def write() -> None:
        for _ in range(300):
            with lock.writing():
                inside["writers"] += 1
                seen.append((1, inside["writers"]))
                inside["writers"] -= 1

    threads = [Thread(target=work) for work in (read, write, read, write)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(seen) == {(0, 0), (1, 1)}
    assert len(seen) == 1200


def test_a_waiting_writer_goes_before_later_readers() -> None:
    lock, order = ReadWriteLock(), list[str]()
    first_reads, may_end = Event(), Event()

    def first() -> None:
        with lock.reading():
            first_reads.set()
            may_end.wait(10)

    def write() -> None:
        with lock.writing():
            order.append("write")

    def later() -> None:
        with lock.reading():
            order.append("read")

    threads = [Thread(target=first)]
    threads[0].start()
    first_reads.wait(10)
    for work in (write, later):
        threads.append(Thread(target=work))
        threads[-1].start()
        # Both queue up behind the first reader, the writer before the reader.
        threads[-1].join(0.05)
        assert threads[-1].is_alive()
    may_end.set()
    for thread in threads:
        thread.join(10)
    assert order == ["write", "read"]
