"""A demonstration of the whole graph on a rendered scene: real nodes over real DDS.

    two cameras (this process) -> lowres_gateway -> pose_node -> fusion_node -> skeleton_markers
        -> this process

The resulting skeletons are drawn on the low-resolution images of each camera and in the room, and written as
COCO results and 3D joints.
"""
