"""The whole graph at work on a scene that the project renders itself: real nodes over real DDS.

    two cameras (this process) -> lowres_gateway -> pose_node -> fusion_node -> skeleton_markers
        -> this process

What comes back is drawn, on the low-resolution images of each camera and in the room, and written with COCO
results and 3D joints.
"""
