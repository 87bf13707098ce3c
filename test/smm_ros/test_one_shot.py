import time

from smm_ros.one_shot import OneShot


def test_fires_once_after_the_delay(ros):
    fired = []
    OneShot(ros.node).set(0.1, lambda: fired.append(time.monotonic()))
    begin = time.monotonic()
    ros.wait_for(lambda: fired)
    ros.spin(0.3)
    assert len(fired) == 1
    assert fired[0] - begin >= 0.099


def test_setting_again_replaces_and_cancelling_forgets(ros):
    fired = []
    shot = OneShot(ros.node)
    shot.set(0.05, lambda: fired.append("first"))
    shot.set(0.1, lambda: fired.append("second"))
    ros.wait_for(lambda: fired)
    shot.set(0.05, lambda: fired.append("third"))
    shot.cancel()
    ros.spin(0.2)
    assert fired == ["second"]


def test_delay_of_nothing_or_less_fires_at_once(ros):
    fired = []
    shot = OneShot(ros.node)
    for delay in (0.0, -1.0, float("-inf")):
        shot.set(delay, lambda: fired.append(True))
        ros.wait_for(lambda: fired.pop() if fired else None, timeout=2)


def test_sleep_lets_other_callbacks_run_and_can_be_cut_short(ros):
    shot, events = OneShot(ros.node), []
    ros.node.create_timer(0.05, lambda: events.append("tick"))

    async def work():
        await shot.sleep(0.2)
        events.append("awake")
        await shot.sleep(60.0)
        events.append("awake again")

    task = ros.executor.create_task(work)
    ros.wait_for(lambda: "awake" in events)
    assert events.count("tick") >= 2
    shot.fire_now()
    ros.wait_for(task.done)
    assert events[-1] == "awake again"
