"""Pictures for people: JPEG snapshots, MJPEG, and the video socket whose boxes belong to the very frame they are drawn on.

**The video socket** `WS /api/v1/ws/video?sensor=ID` sends one binary message per picture:

    4 bytes   length of the header, unsigned little endian
    n bytes   header, JSON in UTF-8 (below)
    the rest  the picture of that very frame, JPEG

    {
      "sensor": "cam-east",                  which camera
      "sequence": 1234,                      number of the frame; a gap: frames were left out
      "time": "2026-05-01T12:00:00.123456Z", mid-exposure, UTC
      "width": 640, "height": 512,           of the full-size frame; every box and trail is in its pixels. The JPEG may
                                             be smaller (`VideoSettings.max_width`): draw in these units and scale
      "detections": [                        those at or above the operating threshold of their class
        {"class": "drone", "score": 0.93, "box": [x, y, width, height]}
      ],
      "tracks": [                            all that live in this frame, tentative ones too
        {
          "id": "cam-east-7",                never used again
          "class": "drone",                  the most probable: drone | bird | airplane | helicopter
          "state": "confirmed",              tentative | confirmed | coasting
          "score": 0.91,                     0..1
          "box": [x, y, width, height],
          "trail": [[x, y], …]               centres of the last two seconds, oldest first, the last is this frame's
        }
      ]
    }

A watcher that reads slowly is sent the newest picture when it is ready for one, and nobody else notices. A picture is
encoded once for all its watchers, and not at all while nobody watches. While the camera delivers no frames, no message
comes; its state is told by the topic `sensors` of `/api/v1/ws`. An unknown sensor is answered with status 404 in place
of the upgrade.
"""
