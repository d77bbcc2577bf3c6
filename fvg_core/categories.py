"""The seven categories of T2V-CompBench, as its folders are called and in the order of its prompt
files (1_... to 7_...)."""

CATEGORIES = (
    "consistent_attr",
    "dynamic_attr",
    "spatial_relationships",
    "motion_binding",
    "action_binding",
    "interaction",
    "generative_numeracy",
)
