"""Golden file of TensorBoard's own record writer: three events, framed as in an event file.

Requirements: tensorboard==2.21.0
"""

from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

WALL_TIME = 1234.5
VALUES = [Summary.Value(tag="loss", simple_value=0.25), Summary.Value(tag="rate", simple_value=1.0)]
EVENTS = [
    Event(wall_time=WALL_TIME, step=0, file_version="brain.Event:2"),
    Event(wall_time=WALL_TIME, step=300, session_log=SessionLog(status=SessionLog.START)),
    Event(wall_time=WALL_TIME, step=70_000, summary=Summary(value=VALUES)),
]

if __name__ == "__main__":
    with open(Path(__file__).parent / "golden" / "event_file.bin", "wb") as file:
        writer = RecordWriter(file)
        for event in EVENTS:
            writer.write(event.SerializeToString())
        writer.flush()
